#pragma once

#include <chrono>
#include <condition_variable>
#include <stop_token>

#include "absl/time/time.h"
#include "common/mutex.h"

namespace fleet {

/// A point of the monotonic clock: for schedules and deadlines, never for timestamps.
using SteadyTime = std::chrono::steady_clock::time_point;

inline absl::Duration operator-(SteadyTime late, SteadyTime early) {
  return absl::FromChrono(late.time_since_epoch() - early.time_since_epoch());
}
inline SteadyTime SteadyAfter(SteadyTime from, absl::Duration span) {
  return from + absl::ToChronoNanoseconds(span);
}

/// Where fleet asks for the time and where it waits, so that a test can own both.
/// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  /// Wall time: for timestamps only.
  virtual absl::Time Now() const = 0;
  virtual SteadyTime SteadyNow() const = 0;

  /// Waits until `ready()`, `deadline` or a stop request. Holds `mutex` on entry and on return.
  /// Returns whether `ready()` held. A notify of `condition` wakes it.
  /// (That `ready` is called with `mutex` held is beyond the analysis, so our body is not looked
  /// at.)
  template <typename Ready>
  bool WaitUntil(Mutex& mutex, std::condition_variable_any& condition, const std::stop_token& stop,
                 SteadyTime deadline, Ready ready)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    while (!ready()) {
      if (stop.stop_requested() || SteadyNow() >= deadline) return ready();
      Sleep(mutex, condition, stop, deadline);
    }
    return true;
  }

  /// The machine's clocks.
  static Clock& Real();

 protected:
  /// Blocks until notified, stopped or `deadline`; may return early.
  virtual void Sleep(Mutex& mutex, std::condition_variable_any& condition,
                     const std::stop_token& stop, SteadyTime deadline) = 0;
};

}  // namespace fleet
