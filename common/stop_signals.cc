#include "common/stop_signals.h"

namespace fleet {

StopSignals::StopSignals() {
  ::sigemptyset(&set_);
  ::sigaddset(&set_, SIGTERM);
  ::sigaddset(&set_, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
}

void StopSignals::Release() const { ::pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

}  // namespace fleet
