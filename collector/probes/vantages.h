#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "collector/ingest.h"
#include "collector/probes/plan_source.h"
#include "collector/probes/probes.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// The agents that look at things for this collector: brings them their plans and what they saw to
/// the probes. Thread-safe.
class Vantages final : public VantageHub {
 public:
  static constexpr absl::Duration kLatenessMax = absl::Hours(24 * 7);  // an older look is dropped

  /// `clock` must outlive it. Nothing is sent or taken before Start.
  explicit Vantages(Clock& clock) : clock_(clock) {}
  ~Vantages() override;

  /// `source` must live until Stop.
  void Start(PlanSource& source);
  /// No more is asked of the source; its answers are dropped.
  void Stop();

  /// What a source says may have changed: vantages get their new plans soon.
  void Changed();

  /// This host is no vantage any more, until it joins anew.
  void Forget(const std::string& host);

  /// Connected agents that look, and those that were connected and are gone, by name.
  std::vector<Vantage> List() const;

  void Joined(const std::string& host, uint64_t id, const std::string& address,
              std::shared_ptr<IngestClient> client) override;
  void Left(const std::string& host, uint64_t id) override;
  void Look(const std::string& host, const DecodedReport& report, absl::Duration offset) override;

  /// Looks that were no looks, or too old.
  uint64_t dropped() const { return dropped_; }

 private:
  struct Agent {
    uint64_t id = 0;  // of its stream; 0: gone
    std::string address;
    std::shared_ptr<IngestClient> client;
    std::string plan;   // as sent, serialized; empty before the first
    std::string hurry;  // likewise
  };

  void Run(PlanSource& source, const std::stop_token& stop);
  void Refresh(PlanSource& source);

  Clock& clock_;
  Mutex source_mutex_;  // held while the source takes a look; before all others
  PlanSource* source_ ABSL_GUARDED_BY(source_mutex_) = nullptr;
  mutable Mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Agent> agents_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<uint64_t> dropped_ = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
