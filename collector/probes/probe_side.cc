#include "collector/probes/probe_side.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/probes/probe_series.h"
#include "collector/probes/probe_status.h"
#include "common/status_macros.h"

namespace fleet::collector {

absl::StatusOr<std::unique_ptr<ProbeSide>> ProbeSide::Start(const CollectorOptions& options,
                                                            std::unique_ptr<probe::Engine> engine,
                                                            FleetState& state, EventLog& events,
                                                            SelfMetrics& metrics, Clock& clock) {
  std::unique_ptr<ProbeSide> side(new ProbeSide(state, clock));
  side->engine_ = std::move(engine);
  ProbeBook::Options book;
  book.checks = options.probes;
  if (!options.data_dir.empty()) book.path = options.data_dir + "/probes.db";
  const probe::AddressGuard guard = [allow = options.updown.allow](const std::string& address,
                                                                   int port) {
    return allow.AllowsAddress(address, port) ? "" : probe::RefusePrivateAddress(address, port);
  };
  book.api_guard = guard;
  FleetState* const fleet = &state;
  Vantages* const vantages = &side->vantages_;
  SelfMetrics* const self = &metrics;
  FLEET_ASSIGN_OR_RETURN(
      side->book_,
      ProbeBook::Start(
          std::move(book),
          {*side->engine_, clock, &events,
           [fleet](const std::string& parent) {
             return CauseThrough(fleet->Snapshot(), fleet->options(), parent);
           },
           [vantages] { return vantages->List(); }, [vantages] { vantages->Changed(); },
           [self](absl::Duration lag) {
             self->Observe(self::kProbeLag, {}, absl::ToDoubleSeconds(lag));
           }}));
  side->vantages_.Start(*side->book_);
  ProbeRouteOptions route;
  route.modules = options.probe_modules;
  route.any_target = options.probe_any_target;
  route.guard = guard;
  side->route_ = std::make_unique<ProbeRoute>(std::move(route), side->book_.get(), *side->engine_);
  return side;
}

ProbeSide::~ProbeSide() {
  vantages_.Stop();
  if (book_ != nullptr) book_->StopLooking();
}

std::vector<Routes::Route> ProbeSide::Paths() {
  std::vector<Routes::Route> paths = route_->routes();
  paths.push_back({"/sd/probes", "the probes, as Prometheus HTTP service discovery",
                   [this](const HttpRequest& request) { return SdProbes(request); }});
  return paths;
}

HttpResponse ProbeSide::SdProbes(const HttpRequest&) const {
  nlohmann::json groups = nlohmann::json::array();
  for (const ProbeView& view : book_->List()) {
    const ProbeCheck& check = *view.check;
    if (!check.enabled || check.spec.target.empty() || !check.unset.empty()) continue;
    groups.push_back({{"targets", {check.url}},
                      {"labels",
                       {{"__param_module", check.module},
                        {"__param_check", check.token},
                        {"check", check.token},
                        {"alias", check.alias.empty() ? check.name : check.alias}}}});
  }
  HttpResponse response;
  response.body = groups.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  response.content_type = "application/json";
  return response;
}

std::vector<ExtraSeries> ProbeSide::Series() const {
  return MakeProbeSeries(book_->Samples(), state_, clock_.Now());
}

void ProbeSide::SetMetrics(SelfMetrics& metrics) const {
  const ProbeBook::Facts facts = book_->facts();
  const auto set = [&metrics](const MetricDesc& desc, absl::Span<const Label> labels,
                              uint64_t value) {
    metrics.Set(desc, labels, static_cast<double>(value));
  };
  set(self::kProbeLooks, {}, facts.looks);
  set(self::kProbeBlind, {}, facts.blind);
  set(self::kProbeMissed, {{"reason", "late"}}, facts.missed);
  set(self::kProbeMissed, {{"reason", "running"}}, facts.overrun);
  set(self::kProbeDropped, {}, facts.dropped);
  set(self::kProbeWaiting, {}, facts.waiting);
  set(self::kProbeWriteErrors, {}, facts.write_errors);
  set(self::kProbeRunning, {}, engine_->running());
  set(self::kVantageDropped, {}, vantages_.dropped());
}

void ProbeSide::AddNotes(std::vector<std::string>& notes) const {
  const ProbeBook::Facts facts = book_->facts();
  if (facts.failing) {
    notes.push_back("the disk does not take what probes find: downtimes of now may be lost");
  }
  if (facts.dropped > 0) {
    notes.push_back(absl::StrCat(facts.dropped, " looks of probes dropped: more than ",
                                 ProbeBook::kQueueMax, " waited"));
  }
  if (facts.events_dropped > 0) {
    notes.push_back(absl::StrCat(facts.events_dropped, " events of probes dropped: more than ",
                                 ProbeBook::kUnwrittenEventsMax, " waited for the disk"));
  }
}

void ProbeSide::AddTo(v1::StatusReply& reply) const {
  Verdict worst = static_cast<Verdict>(static_cast<int>(reply.verdict()));
  const absl::Time now = clock_.Now();
  for (const ProbeView& view : book_->List()) {
    v1::ProbeState& probe = *reply.add_probes();
    FillProbe(view, now, probe);
    worst = Worse(worst, static_cast<Verdict>(static_cast<int>(probe.verdict())));
  }
  reply.set_verdict(static_cast<v1::Verdict>(worst));
}

}  // namespace fleet::collector
