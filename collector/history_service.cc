#include "collector/history_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"
#include "collector/history.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr double kSecondsMax = 1e11;  // far beyond any time that is kept

absl::Status NothingKept() {
  return absl::FailedPreconditionError(
      "this collector keeps nothing: it needs data_dir in its configuration");
}

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

}  // namespace

HistoryService::HistoryService(const Parts& parts, Clock& clock, Gate& gate)
    : parts_(parts),
      source_(parts.source),
      clock_(clock),
      gate_(gate),
      thread_([this](const std::stop_token& stop) { Run(stop); }),
      exporter_([this](const std::stop_token& stop) { RunExports(stop); }) {}

HistoryService::~HistoryService() = default;

void HistoryService::Drain() {
  source_.Stop();
  thread_.request_stop();
  exporter_.request_stop();
}

absl::Time HistoryService::At(const v1::Moment& moment) const {
  const auto sane = [](double seconds) {
    return absl::Seconds(seconds > -kSecondsMax && seconds < kSecondsMax ? seconds : 0);
  };
  if (moment.has_unix_seconds()) return absl::UnixEpoch() + sane(moment.unix_seconds());
  return clock_.Now() - sane(moment.ago_seconds());
}

absl::Time HistoryService::Until(bool has, const v1::Moment& moment) const {
  return has ? At(moment) : clock_.Now();
}

grpc::ServerUnaryReactor* HistoryService::Start(grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<Identity> identity = gate_.Identify(PeerOf(*context));
  if (!identity.ok()) {
    reactor->Finish(ToGrpc(identity.status()));
    return reactor;
  }
  MutexLock lock(mutex_);
  if (source_.stopped()) {
    reactor->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the collector is stopping"));
    return reactor;
  }
  if (queue_.size() >= kQueueMax) {
    reactor->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                 "too many questions about the past at once"));
    return reactor;
  }
  queue_.emplace_back(reactor, std::move(work));
  wake_.notify_one();
  return reactor;
}

void HistoryService::Run(const std::stop_token& stop) {
  while (true) {
    std::pair<grpc::ServerUnaryReactor*, Work> next;
    {
      MutexLock lock(mutex_);
      wake_.wait(mutex_, stop,
                 [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !queue_.empty(); });
      if (queue_.empty()) return;
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    const absl::Status status =
        stop.stop_requested() ? absl::UnavailableError("the collector is stopping") : next.second();
    next.first->Finish(ToGrpc(status));
  }
}

grpc::ServerUnaryReactor* HistoryService::Series(grpc::CallbackServerContext* context,
                                                 const v1::SeriesRequest* request,
                                                 v1::SeriesReply* reply) {
  return Start(context, [this, request, reply]() -> absl::Status {
    if (!source_.any()) return NothingKept();
    SeriesQuery query;
    query.host = request->host();
    query.metric = request->metric();
    for (const v1::LabelMatch& match : request->matches()) {
      query.matches.emplace_back(match.name(), match.value());
    }
    query.since = At(request->since());
    query.until = Until(request->has_until(), request->until());
    query.buckets = request->buckets();
    FLEET_ASSIGN_OR_RETURN(*reply, QuerySeries(source_, query));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* HistoryService::StatusAt(grpc::CallbackServerContext* context,
                                                   const v1::StatusAtRequest* request,
                                                   v1::StatusReply* reply) {
  return Start(context, [this, request, reply]() -> absl::Status {
    if (!source_.any()) return NothingKept();
    const absl::Time at = At(request->at());
    FLEET_ASSIGN_OR_RETURN(const auto retired, parts_.trust.Retired());
    absl::flat_hash_set<std::string> gone;
    for (const auto& [host, since] : retired) {
      if (since <= at) gone.insert(host);
    }
    *reply = collector::StatusAt(source_, parts_.state.options(), request->request(), at,
                                 [&gone](absl::string_view host) { return !gone.contains(host); });
    if (!reply->hosts().empty()) return absl::OkStatus();
    const std::string& host = request->request().host();
    return absl::NotFoundError(absl::StrCat("nothing of ", host.empty() ? "any host" : Quote(host),
                                            " is known of that moment"));
  });
}

grpc::ServerUnaryReactor* HistoryService::Events(grpc::CallbackServerContext* context,
                                                 const v1::EventsRequest* request,
                                                 v1::EventsReply* reply) {
  return Start(context, [this, request, reply]() -> absl::Status {
    if (parts_.events == nullptr) return NothingKept();
    const uint32_t limit =
        request->limit() == 0 ? kEventsMax : std::min(request->limit(), kEventsMax);
    FLEET_ASSIGN_OR_RETURN(
        const std::vector<Event> events,
        parts_.events->Query(request->host(), At(request->since()),
                             Until(request->has_until(), request->until()), limit + 1));
    reply->set_more(events.size() > limit);
    for (size_t i = events.size() > limit ? 1 : 0; i < events.size(); ++i) {
      v1::EventsReply::Event& event = *reply->add_events();
      event.set_unix_seconds(Seconds(events[i].time));
      event.set_host(OneLine(events[i].host));
      event.set_subject(OneLine(events[i].subject));
      event.set_kind(events[i].kind);
      event.set_from(OneLine(events[i].from));
      event.set_to(OneLine(events[i].to));
      event.set_text(OneLine(events[i].text, 1024));
    }
    return absl::OkStatus();
  });
}

}  // namespace fleet::collector
