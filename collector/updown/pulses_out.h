#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "collector/updown/options.h"
#include "common/clock.h"
#include "common/http_client.h"
#include "common/mutex.h"

namespace fleet::collector {

/// The request of one pulse: `good` is OK, or why the collector is not well. Nothing for a shape
/// that has no way to say that. Pure.
std::optional<fleet::HttpRequest> PulseRequest(const PulseOptions& options,
                                               const absl::Status& good);

/// Pings those outside who are to notice when the collector dies: only while it is well, as its own
/// check says. One thread, all pings of a moment at once. Thread-safe.
class PulsesOut {
 public:
  static constexpr absl::Duration kTimeout = absl::Seconds(10);

  struct Count {
    std::string name;
    uint64_t sent = 0;    // and answered with 2xx
    uint64_t failed = 0;  // not answered, or otherwise
    uint64_t held = 0;    // not sent because the collector was not well
  };

  /// `well` says whether the collector does its work; called by the thread here, may wait a little.
  PulsesOut(std::vector<PulseOptions> pulses, std::function<absl::Status()> well, Clock& clock);

  std::vector<Count> counts() const;

 private:
  struct Target {
    PulseOptions options;
    SteadyTime next;
    Count count;
    bool failing = false;
  };
  void Run(const std::stop_token& stop);
  void Ping(const std::stop_token& stop);

  const std::function<absl::Status()> well_;
  Clock& clock_;
  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  std::vector<Target> targets_ ABSL_GUARDED_BY(mutex_);
  fleet::HttpClient client_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
