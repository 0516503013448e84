#include "tests/support/fake_clock.h"

namespace fleet::test {

FakeClock::FakeClock(absl::Time now) : now_(now), steady_(std::chrono::hours(1000)) {}

absl::Time FakeClock::Now() const {
  MutexLock lock(mutex_);
  return now_;
}

SteadyTime FakeClock::SteadyNow() const {
  MutexLock lock(mutex_);
  return steady_;
}

void FakeClock::Advance(absl::Duration span) {
  MutexLock lock(mutex_);
  now_ += span;
  steady_ = SteadyAfter(steady_, span);
}

void FakeClock::JumpWall(absl::Duration span) {
  MutexLock lock(mutex_);
  now_ += span;
}

void FakeClock::Sleep(Mutex& mutex, std::condition_variable_any& condition,
                      const std::stop_token& stop, SteadyTime) {
  // Looks again every millisecond of real time: an Advance needs no list of who waits, and the
  // fake time alone decides when a wait ends.
  ++sleeps_;
  bool first = true;
  condition.wait_until(mutex, stop, std::chrono::steady_clock::now() + std::chrono::milliseconds(1),
                       [&first] { return !std::exchange(first, false); });
}

}  // namespace fleet::test
