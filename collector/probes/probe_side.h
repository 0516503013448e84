#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/config.h"
#include "collector/events.h"
#include "collector/http/routes.h"
#include "collector/probes/book.h"
#include "collector/probes/probe_route.h"
#include "collector/probes/vantages.h"
#include "collector/self_metrics.h"
#include "collector/state.h"
#include "common/clock.h"
#include "common/probe/probe.h"
#include "fleet/v1/fleet.pb.h"

namespace fleet::collector {

/// The collector's probes put together: the engine, the book, and what they tell metrics, status
/// and HTTP. Thread-safe.
class ProbeSide {
 public:
  /// Everything given must outlive it. Errors: why the database cannot be used.
  static absl::StatusOr<std::unique_ptr<ProbeSide>> Start(const CollectorOptions& options,
                                                          std::unique_ptr<probe::Engine> engine,
                                                          FleetState& state, EventLog& events,
                                                          SelfMetrics& metrics, Clock& clock);
  ~ProbeSide();

  Probes& probes() { return *book_; }
  probe::Engine& engine() { return *engine_; }
  /// Whom streams of agents tell what they see.
  VantageHub& vantages() { return vantages_; }
  /// A host that was retired looks at nothing for us any more.
  void ForgetVantage(const std::string& host) {
    vantages_.Forget(host);
    book_->ForgetVantage(host);
  }

  /// /sd/probes and /probe.
  std::vector<Routes::Route> Paths();
  std::vector<ExtraSeries> Series() const;
  void SetMetrics(SelfMetrics& metrics) const;
  /// What the disk refuses, for the status.
  void AddNotes(std::vector<std::string>& notes) const;
  /// Adds the probes to the status of the whole fleet, their verdicts to its own.
  void AddTo(v1::StatusReply& reply) const;

  /// No more looks are begun or taken.
  void Stop() { book_->StopLooking(); }

 private:
  ProbeSide(FleetState& state, Clock& clock) : state_(state), clock_(clock), vantages_(clock) {}
  HttpResponse SdProbes(const HttpRequest& request) const;

  FleetState& state_;
  Clock& clock_;
  Vantages vantages_;
  std::unique_ptr<ProbeBook> book_;
  std::unique_ptr<ProbeRoute> route_;
  std::unique_ptr<probe::Engine> engine_;  // ends before the book that it calls
};

}  // namespace fleet::collector
