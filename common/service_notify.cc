#include "common/service_notify.h"

#include <systemd/sd-daemon.h>

#include <cstdint>
#include <string>

namespace fleet {
namespace {

absl::Duration BeatInterval() {
  uint64_t allowed_us = 0;
  // Looks at WATCHDOG_PID too: a child that inherits the environment is not watched.
  if (::sd_watchdog_enabled(0, &allowed_us) <= 0) return absl::InfiniteDuration();
  return absl::Microseconds(static_cast<int64_t>(allowed_us)) / 2;
}

}  // namespace

ServiceNotify::ServiceNotify(Clock& clock) : clock_(clock), beat_interval_(BeatInterval()) {}

void ServiceNotify::Send(absl::string_view state) {
  // Best effort: without a socket there is nobody to tell, and a lost ping is followed by another.
  (void)::sd_notify(0, std::string(state).c_str());
}

void ServiceNotify::Beat() {
  if (!watched()) return;
  {
    MutexLock lock(mutex_);
    const SteadyTime now = clock_.SteadyNow();
    if (now < next_) return;
    next_ = SteadyAfter(now, beat_interval_ / 2);
  }
  Send("WATCHDOG=1");
}

}  // namespace fleet
