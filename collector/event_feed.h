#pragma once

#include <condition_variable>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/events.h"
#include "collector/state.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Turns what happens to hosts into events: changed verdicts, hosts that fall silent and come back,
/// limits reached, reports that a spool dropped. One host that changes all the time is cut short,
/// so that it does not push out the others' events. Thread-safe.
class EventFeed {
 public:
  static constexpr double kPerSecond = 1;  // of one host, after
  static constexpr double kBurst = 200;    // so many at once
  static constexpr absl::Duration kLookEvery = absl::Seconds(2);
  /// After a start, agents have so long to come back before they are called silent.
  static constexpr absl::Duration kGrace = absl::Seconds(60);

  /// Both must outlive it.
  EventFeed(EventLog& events, Clock& clock);
  ~EventFeed();

  /// A report of `check` follows another. Without a `before` nothing is known to have changed.
  void StatusChanged(absl::string_view host, absl::string_view check, const ReportStatus* before,
                     const ReportStatus& after, absl::Time when);
  /// An agent's spool has dropped `reports` more.
  void SpoolDropped(absl::string_view host, uint64_t reports);

  /// Looks from now on at `state`, which must outlive Stop.
  void Watch(FleetState& state);
  void Stop();

  /// Events left out because their host had too many.
  uint64_t suppressed() const;

 private:
  struct Host {
    double tokens = kBurst;
    SteadyTime tokens_at;
    bool known = false;  // whether up means something
    bool up = false;
    bool limited = false;
  };

  void Add(absl::string_view host, Event event);
  void Run(const std::stop_token& stop);
  void Look(const std::vector<HostPulse>& pulses);
  bool WasUp(const std::string& host) const;

  EventLog& events_;
  Clock& clock_;
  const SteadyTime started_;
  FleetState* state_ = nullptr;

  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  absl::flat_hash_map<std::string, Host> hosts_ ABSL_GUARDED_BY(mutex_);
  uint64_t suppressed_ ABSL_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
