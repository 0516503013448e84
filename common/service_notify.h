#pragma once

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet {

/// Tells systemd how this service is: ready, stopping, and alive as long as its working loop goes
/// round (`Type=notify`, `WatchdogSec=`). Without systemd every call does nothing. The one door to
/// sd-daemon. Thread-safe.
class ServiceNotify {
 public:
  /// Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment, once.
  explicit ServiceNotify(Clock& clock);

  void Ready() const { Send("READY=1"); }
  /// From now on systemd waits for the end; a Beat may still come.
  void Stopping() const { Send("STOPPING=1"); }

  /// Called by the loop that does the work, each time it goes round, and by nothing else: a loop
  /// that hangs stops calling, and systemd restarts the service. Sends at most once per half of
  /// `beat_interval`, so that a busy loop may call it as often as it likes.
  void Beat();

  /// Whether systemd watches this process.
  bool watched() const { return beat_interval_ != absl::InfiniteDuration(); }
  /// The longest that the loop may wait between two Beats: half of what systemd allows. Infinite
  /// when systemd does not watch.
  absl::Duration beat_interval() const { return beat_interval_; }

 private:
  static void Send(absl::string_view state);

  Clock& clock_;
  const absl::Duration beat_interval_;
  Mutex mutex_;
  SteadyTime next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet
