#include "common/clock.h"

#include "absl/time/clock.h"

namespace fleet {
namespace {

class RealClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  SteadyTime SteadyNow() const override { return std::chrono::steady_clock::now(); }

 protected:
  void Sleep(Mutex& mutex, std::condition_variable_any& condition, const std::stop_token& stop,
             SteadyTime deadline) override {
    // The caller holds `mutex` and loops, so one spurious wake-up costs one more turn.
    bool first = true;
    condition.wait_until(mutex, stop, deadline, [&first] { return !std::exchange(first, false); });
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock clock;
  return clock;
}

}  // namespace fleet
