#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>

#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::test {

/// A clock that stands still until Advance. Thread-safe.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(absl::Time now = absl::FromUnixSeconds(1'700'000'000));

  absl::Time Now() const override;
  SteadyTime SteadyNow() const override;
  /// Moves both clocks and wakes every waiter.
  void Advance(absl::Duration span);
  /// Moves wall time only, as a wrong clock being set does.
  void JumpWall(absl::Duration span);
  /// How often a waiter has looked at the clock and gone on waiting. When it grew by two since an
  /// Advance, that waiter has done what was due.
  uint64_t sleeps() const { return sleeps_; }

 protected:
  void Sleep(Mutex& mutex, std::condition_variable_any& condition, const std::stop_token& stop,
             SteadyTime deadline) override;

 private:
  mutable Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
  SteadyTime steady_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> sleeps_ = 0;
};

}  // namespace fleet::test
