#include "collector/fleet_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/call_end.h"
#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"
#include "collector/probes/probe_status.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr size_t kDowntimesMax = 10'000;  // of one reply

absl::Status NoSuchProbe(absl::string_view name) {
  return absl::NotFoundError(absl::StrCat("no probe ", Quote(name)));
}

}  // namespace

/// One call. Its mutex is taken after the service's, never before.
class FleetService::Reactor final : public grpc::ServerWriteReactor<v1::StatusReply> {
 public:
  Reactor(FleetService& service, grpc::CallbackServerContext* context, v1::StatusRequest request)
      : service_(service), request_(std::move(request)), call_end_(context) {}

  const v1::StatusRequest& request() const { return request_; }

  /// From now on the gate may end it.
  absl::Status Enter(Gate& gate, Identity identity) {
    const std::string name = identity.role == Role::kAdmin ? identity.name : std::string();
    auto ticket = gate.Enter(std::move(identity), name,
                             [this](const absl::Status& status) { End(ToGrpc(status)); });
    if (!ticket.ok()) return ticket.status();
    ticket_ = *std::move(ticket);
    return absl::OkStatus();
  }

  /// The only reply of a call that does not watch.
  void Answer(v1::StatusReply reply) {
    MutexLock lock(mutex_);
    reply_ = std::move(reply);
    writing_ = finished_ = true;
    StartWriteAndFinish(&reply_, grpc::WriteOptions(), grpc::Status::OK);
  }

  /// Sends `reply` unless an older one is still under way. False in that case.
  bool Offer(const v1::StatusReply& reply) {
    MutexLock lock(mutex_);
    if (finished_ || ending_) return true;
    if (writing_) return false;
    reply_ = reply;
    writing_ = true;
    StartWrite(&reply_);
    return true;
  }

  /// Ends the call; the first reason counts.
  void End(const grpc::Status& status) {
    MutexLock lock(mutex_);
    if (ending_ || finished_) return;
    ending_ = true;
    end_ = status;
    if (writing_) call_end_.Begin();
    FinishIfIdle();
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) ending_ = true;
    FinishIfIdle();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    call_end_.Over();
    ticket_.reset();
    service_.Leave(this);
    delete this;
  }

 private:
  void FinishIfIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!ending_ || writing_ || finished_) return;
    finished_ = true;
    Finish(end_);
  }

  FleetService& service_;
  const v1::StatusRequest request_;
  CallEnd call_end_;
  std::unique_ptr<Gate::Ticket> ticket_;
  Mutex mutex_;
  v1::StatusReply reply_ ABSL_GUARDED_BY(mutex_);  // while writing_, gRPC's
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status end_ ABSL_GUARDED_BY(mutex_);
};

FleetService::FleetService(FleetState& state, SelfMetrics& metrics, Clock& clock, Gate& gate,
                           Notes notes)
    : state_(state),
      metrics_(metrics),
      clock_(clock),
      gate_(gate),
      notes_(std::move(notes)),
      thread_([this](const std::stop_token& stop) { Watch(stop); }) {
  metrics_.Set(self::kWatchers, {}, 0);
}

FleetService::~FleetService() = default;

grpc::ServerWriteReactor<v1::StatusReply>* FleetService::Status(
    grpc::CallbackServerContext* context, const v1::StatusRequest* request) {
  auto* reactor = new Reactor(*this, context, *request);
  absl::StatusOr<Identity> identity = gate_.Identify(PeerOf(*context));
  if (!identity.ok()) {
    reactor->End(ToGrpc(identity.status()));
  } else if (request->host().empty() && !request->check().empty()) {
    reactor->End(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "a check needs its host"));
  } else if (v1::StatusReply reply = Reply(*request);
             !request->host().empty() && reply.hosts().empty()) {
    reactor->End(grpc::Status(grpc::StatusCode::NOT_FOUND,
                              absl::StrCat("no host ", Quote(request->host()), " has reported")));
  } else if (!request->watch()) {
    reactor->Answer(std::move(reply));
  } else if (absl::Status entered = reactor->Enter(gate_, *std::move(identity)); !entered.ok()) {
    reactor->End(ToGrpc(entered));
  } else if (Enter(reactor)) {
    reactor->Offer(reply);
  } else {
    reactor->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the collector is stopping"));
  }
  return reactor;
}

v1::StatusReply FleetService::Reply(const v1::StatusRequest& request) const {
  v1::StatusReply reply = state_.Status(request);
  for (std::string& note : notes_()) reply.add_notes(std::move(note));
  if (request.host().empty() && add_probes_) add_probes_(reply);
  return reply;
}

void FleetService::SetProbes(collector::Probes& probes, std::function<void(v1::StatusReply&)> add) {
  probes_ = &probes;
  add_probes_ = std::move(add);
}

absl::Status FleetService::FillProbes(const v1::ProbesRequest& request,
                                      v1::ProbesReply& reply) const {
  if (probes_ == nullptr) return absl::OkStatus();
  const absl::Time now = clock_.Now();
  if (request.probe().empty()) {
    for (const ProbeView& view : probes_->List()) FillProbe(view, now, *reply.add_probes());
    return absl::OkStatus();
  }
  const std::optional<ProbeView> view = probes_->Find(request.probe());
  if (!view.has_value()) return NoSuchProbe(request.probe());
  FillProbe(*view, now, *reply.add_probes());
  return absl::OkStatus();
}

absl::Status FleetService::FillDowntimes(const v1::DowntimesRequest& request,
                                         v1::DowntimesReply& reply) const {
  const absl::Time now = clock_.Now();
  reply.set_now_seconds(absl::ToDoubleSeconds(now - absl::UnixEpoch()));
  if (probes_ == nullptr) return absl::OkStatus();
  std::string token;
  if (!request.probe().empty()) {
    const std::optional<ProbeView> view = probes_->Find(request.probe());
    if (!view.has_value()) return NoSuchProbe(request.probe());
    token = view->check->token;
  }
  absl::Time since = absl::InfinitePast();
  if (request.since_ago_seconds() > 0) since = now - absl::Seconds(request.since_ago_seconds());
  if (request.since_unix_seconds() > 0) {
    since = absl::UnixEpoch() + absl::Seconds(request.since_unix_seconds());
  }
  std::map<std::string, std::string> names;
  for (const ProbeView& view : probes_->List()) names[view.check->token] = view.check->name;
  const size_t limit =
      request.limit() == 0 ? kDowntimesMax : std::min<size_t>(request.limit(), kDowntimesMax);
  FLEET_ASSIGN_OR_RETURN(const std::vector<Downtime> downtimes,
                         probes_->Downtimes(token, 0, limit));
  for (const Downtime& downtime : downtimes) {
    if (downtime.ended_at.has_value() && *downtime.ended_at < since) continue;
    const auto name = names.find(downtime.token);
    FillDowntime(downtime, name == names.end() ? downtime.token : name->second,
                 *reply.add_downtimes());
  }
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* FleetService::Probes(grpc::CallbackServerContext* context,
                                               const v1::ProbesRequest* request,
                                               v1::ProbesReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<Identity> identity = gate_.Identify(PeerOf(*context));
  reactor->Finish(ToGrpc(identity.ok() ? FillProbes(*request, *reply) : identity.status()));
  return reactor;
}

grpc::ServerUnaryReactor* FleetService::Downtimes(grpc::CallbackServerContext* context,
                                                  const v1::DowntimesRequest* request,
                                                  v1::DowntimesReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::StatusOr<Identity> identity = gate_.Identify(PeerOf(*context));
  reactor->Finish(ToGrpc(identity.ok() ? FillDowntimes(*request, *reply) : identity.status()));
  return reactor;
}

bool FleetService::Enter(Reactor* reactor) {
  MutexLock lock(mutex_);
  if (draining_) return false;
  watchers_.push_back(reactor);
  metrics_.Set(self::kWatchers, {}, static_cast<double>(watchers_.size()));
  return true;
}

void FleetService::Leave(Reactor* reactor) {
  MutexLock lock(mutex_);
  watchers_.remove(reactor);
  metrics_.Set(self::kWatchers, {}, static_cast<double>(watchers_.size()));
}

void FleetService::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  for (Reactor* reactor : watchers_) {
    reactor->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the collector is stopping"));
  }
}

size_t FleetService::watchers() const {
  MutexLock lock(mutex_);
  return watchers_.size();
}

bool FleetService::Deliver() {
  using Key = std::pair<std::string, std::string>;
  std::map<Key, v1::StatusReply> replies;
  const auto key = [](const v1::StatusRequest& request) {
    return Key(request.host(), request.check());
  };
  {
    MutexLock lock(mutex_);
    for (const Reactor* reactor : watchers_) replies[key(reactor->request())];
  }
  // Made without the lock, once for all who asked the same.
  for (auto& [asked, reply] : replies) {
    v1::StatusRequest request;
    request.set_host(asked.first);
    request.set_check(asked.second);
    reply = Reply(request);
  }
  bool busy = false;
  MutexLock lock(mutex_);
  for (Reactor* reactor : watchers_) {
    const auto found = replies.find(key(reactor->request()));
    if (found != replies.end()) busy |= !reactor->Offer(found->second);
  }
  return busy;
}

void FleetService::Watch(const std::stop_token& stop) {
  uint64_t seen = state_.version();
  bool busy = false;
  while (!stop.stop_requested()) {
    const absl::Duration wait = busy ? kReplyEvery : kReplyAtLeastEvery;
    seen = state_.WaitForChange(seen, SteadyAfter(clock_.SteadyNow(), wait), stop);
    busy = Deliver();
    MutexLock lock(pause_mutex_);
    clock_.WaitUntil(pause_mutex_, pause_, stop, SteadyAfter(clock_.SteadyNow(), kReplyEvery),
                     [] { return false; });
  }
}

}  // namespace fleet::collector
