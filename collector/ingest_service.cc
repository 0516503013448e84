#include "collector/ingest_service.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <optional>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "collector/call_end.h"
#include "collector/grpc_peer.h"
#include "collector/grpc_status.h"
#include "common/log.h"
#include "common/version.h"

namespace fleet::collector {
namespace {

constexpr absl::Duration kHelloTimeout = absl::Seconds(10);
/// Acks of one segment replace each other, so only a client that reads none of many segments gets
/// here; it then reads or goes.
constexpr size_t kAcksMax = 4'096;

}  // namespace

/// The call as hub and journal hold it: it outlives the reactor, and then goes nowhere. Its lock
/// comes after the hub's and before the reactor's.
class IngestService::Link final : public IngestClient {
 public:
  explicit Link(Reactor& reactor) : reactor_(&reactor) {}

  void Ack(const v1::Ack& ack) override;
  void Resume() override;
  void Close(const absl::Status& reason) override;
  void Tell(const v1::CollectorMessage& message) override;
  /// Returns when no call is under way and none will come.
  void Detach() {
    MutexLock lock(mutex_);
    reactor_ = nullptr;
  }

 private:
  Mutex mutex_;
  Reactor* reactor_ ABSL_GUARDED_BY(mutex_);
};

/// One call. gRPC calls reads and writes back on threads of its choice, at the same time; `mutex_`
/// guards what both and a close from outside touch. The stream is used by reads alone.
class IngestService::Reactor final
    : public grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage> {
 public:
  Reactor(IngestService& service, grpc::CallbackServerContext* context)
      : service_(service),
        context_(context),
        call_end_(context),
        link_(std::make_shared<Link>(*this)) {
    const Peer peer = PeerOf(*context);
    address_ = HostOfPeer(context->peer());
    identity_ = service.gate_.Identify(peer);
    absl::Status entered = identity_.status();
    // On loopback without certificates all come from one place.
    if (entered.ok() && identity_->verified) {
      entered = service.Enter(identity_->name);
      entered_ = entered.ok();
    }
    if (!entered.ok()) {
      End(entered);
      return;
    }
    meter_ = service.unread_.MeterOf(peer.address, peer.port);
    timer_set_ = true;
    users_ = 2;
    hello_timer_.Set(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(kHelloTimeout),
                     [this](bool expired) { OnHelloTimer(expired); });
    StartRead(&received_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return End(absl::OkStatus());
    meter_->Took(received_.ByteSizeLong());
    absl::Status status;
    if (stream_ == nullptr) {
      status = OnHello();
    } else if (!received_.has_records()) {
      status = absl::InvalidArgumentError("expected records after the hello");
    } else {
      return TakeRecords();
    }
    if (!status.ok()) return End(status);
    StartRead(&received_);
  }

  /// There is room for the records that had to wait. Not on the caller's thread: it is the
  /// journal's.
  void Resume() {
    users_.fetch_add(1);
    service_.TakeLater(this);
  }

  /// Takes what was received and reads on; or leaves the next message unread until there is room.
  void TakeRecords() {
    MutexLock stream_lock(stream_mutex_);
    if (stream_ == nullptr || IsRefused()) return;  // the call ended meanwhile
    const absl::StatusOr<IngestStream::Next> next = stream_->Take(received_.records());
    if (!next.ok()) return End(next.status());
    MutexLock lock(mutex_);
    // Nothing may be started after the end, which may come from outside.
    if (*next == IngestStream::Next::kRead && !finished_) StartRead(&received_);
  }

  /// The last of the call, its timer and those who take later deletes.
  void Release() {
    if (users_.fetch_sub(1) == 1) delete this;
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(mutex_);
    writing_ = false;
    if (!ok) waiting_.clear();
    if (!ok && !ending_) {
      ending_ = true;
      end_ = Gone();
    }
    Continue();
  }

  void OnCancel() override { End(Gone()); }

  void OnDone() override {
    link_->Detach();
    call_end_.Over();
    CountEnd();
    // The timer's callback uses this object: it runs once in any case, and the last of both
    // deletes.
    if (timer_set_) hello_timer_.Cancel();
    ticket_.reset();
    {
      MutexLock lock(stream_mutex_);
      stream_.reset();  // leaves the hub before anything of this object goes
    }
    if (entered_) service_.Leave(identity_->name);
    Release();
  }

  /// Adds an ack to what waits to be written.
  void SendAck(const v1::Ack& ack) {
    MutexLock lock(mutex_);
    if (ending_ || finished_) return;
    if (!waiting_.empty() && waiting_.back().has_ack() &&
        waiting_.back().ack().epoch() == ack.epoch() &&
        waiting_.back().ack().segment() == ack.segment()) {
      *waiting_.back().mutable_ack() = ack;
    } else {
      waiting_.emplace_back();
      *waiting_.back().mutable_ack() = ack;
    }
    if (waiting_.size() > kAcksMax) {
      BeginEnd(absl::ResourceExhaustedError("the agent reads no acks"));
    }
    Continue();
  }

  /// Adds a plan or hurry to what waits to be written, in the place of an older one.
  void Tell(const v1::CollectorMessage& message) {
    MutexLock lock(mutex_);
    if (ending_ || finished_) return;
    const auto older = absl::c_find_if(waiting_, [&](const v1::CollectorMessage& waits) {
      return waits.kind_case() == message.kind_case();
    });
    if (older != waiting_.end()) {
      *older = message;
    } else {
      waiting_.push_back(message);
    }
    Continue();
  }

  /// Ends the call with `status`; the first reason counts.
  void End(const absl::Status& status) {
    MutexLock lock(mutex_);
    if (ending_) return;
    BeginEnd(status);
    Continue();
  }

 private:
  static absl::Status Gone() { return absl::CancelledError("the agent is gone"); }

  void BeginEnd(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ending_ = true;
    end_ = status;
    if (writing_ && !status.ok()) call_end_.Begin();
  }
  /// Nothing more of it is taken, though it may still send.
  bool IsRefused() {
    MutexLock lock(mutex_);
    return ending_ && !end_.ok();
  }

  absl::Status OnHello() {
    if (!received_.has_hello()) {
      service_.hub_.CountRejected("hello");
      return absl::InvalidArgumentError("expected a hello first");
    }
    const v1::Hello& hello = received_.hello();
    auto ticket =
        service_.gate_.Enter(*identity_, identity_->verified ? identity_->name : hello.host(),
                             [this](const absl::Status& status) { End(status); });
    if (!ticket.ok()) return ticket.status();
    ticket_ = *std::move(ticket);
    auto stream = service_.hub_.Open(hello, identity_->name, address_, link_);
    if (!stream.ok()) {
      const bool wrong_host = absl::IsPermissionDenied(stream.status());
      service_.gate_.refusals().Note({wrong_host ? "wrong_host" : "hello",
                                      std::string(stream.status().message()), identity_->name,
                                      address_});
      return stream.status();
    }
    stream_ = *std::move(stream);
    hello_timer_.Cancel();
    log::Info("agent connected", {{"host", stream_->host()},
                                  {"address", address_},
                                  {"version", hello.agent_version().substr(0, 64)}});
    MutexLock lock(mutex_);
    host_ = stream_->host();
    v1::CollectorMessage message;
    message.mutable_welcome()->set_host(host_);
    message.mutable_welcome()->set_collector_version(std::string(Version()));
    for (const v1::Ack& ack : stream_->safe()) *message.mutable_welcome()->add_safe() = ack;
    waiting_.push_back(std::move(message));
    Continue();
    return absl::OkStatus();
  }

  void OnHelloTimer(bool expired) {
    if (expired) {
      service_.hub_.CountRejected("hello");
      End(absl::DeadlineExceededError("no hello came"));
    }
    Release();
  }

  /// Starts what can be started: one write at a time, the end after the write under way and, when
  /// it is a good end, after the acks that wait.
  void Continue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (ending_ && (!end_.ok() || waiting_.empty())) {
      finished_ = true;
      LogEnd();
      Finish(ToGrpc(end_));
      return;
    }
    if (waiting_.empty()) return;
    sent_ = std::move(waiting_.front());
    waiting_.pop_front();
    writing_ = true;
    StartWrite(&sent_);
  }

  /// Not before all is over: of a call that gRPC ended, for too large a message, the last read
  /// looks like a good end.
  void CountEnd() {
    MutexLock lock(mutex_);
    if (end_.ok() && context_->IsCancelled()) end_ = Gone();
    service_.metrics_.Count(self::kStreamsClosed,
                            {{"code", absl::StatusCodeToString(end_.code())}});
  }

  void LogEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    // Who was not let in is noted by its reason, and not with each attempt.
    if (host_.empty() && !end_.ok()) return;
    if (end_.ok() || absl::IsCancelled(end_)) {
      log::Info("agent disconnected", {{"host", host_}, {"address", address_}});
    } else {
      log::Warning("stream ended", {{"host", host_}, {"address", address_}, {"error", end_}});
    }
  }

  IngestService& service_;
  grpc::CallbackServerContext* const context_;
  CallEnd call_end_;
  std::string address_;  // of the other end, for as long as anybody asks
  absl::StatusOr<Identity> identity_;
  bool entered_ = false;
  std::shared_ptr<ReadMeter> meter_;
  const std::shared_ptr<Link> link_;
  Mutex stream_mutex_;  // against taking later; taken before all others
  std::unique_ptr<IngestStream> stream_;
  std::unique_ptr<Gate::Ticket> ticket_;
  v1::AgentMessage received_;
  grpc::Alarm hello_timer_;
  bool timer_set_ = false;
  std::atomic<int> users_ = 1;

  Mutex mutex_;
  std::string host_ ABSL_GUARDED_BY(mutex_);  // empty before the hello
  std::deque<v1::CollectorMessage> waiting_ ABSL_GUARDED_BY(mutex_);
  v1::CollectorMessage sent_ ABSL_GUARDED_BY(mutex_);  // while writing_, gRPC's
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

IngestService::IngestService(IngestHub& hub, SelfMetrics& metrics, Gate& gate,
                             const UnreadWatch& unread, Clock& clock)
    : hub_(hub),
      metrics_(metrics),
      gate_(gate),
      unread_(unread),
      opens_(kOpensPerSecond, kOpensBurst, clock),
      taker_([this](const std::stop_token& stop) { TakeLoop(stop); }) {}

IngestService::~IngestService() = default;

absl::Status IngestService::Enter(const std::string& host) {
  absl::Status status;
  if (!opens_.Allow(host)) {
    status = absl::ResourceExhaustedError(
        absl::StrCat("this host opens more than ", kOpensPerSecond, " streams a second"));
  } else {
    MutexLock lock(mutex_);
    size_t& open = open_[host];
    if (open < kStreamsMax) {
      ++open;
    } else {
      status = absl::ResourceExhaustedError(
          absl::StrCat("this host has ", kStreamsMax, " streams open, which is the limit"));
    }
  }
  if (!status.ok()) hub_.CountRejected("streams");
  return status;
}

void IngestService::Leave(const std::string& host) {
  MutexLock lock(mutex_);
  const auto found = open_.find(host);
  if (--found->second == 0) open_.erase(found);
}

void IngestService::TakeLater(Reactor* reactor) {
  MutexLock lock(mutex_);
  later_.push_back(reactor);
  wake_.notify_one();
}

/// Everything that had to wait for the disk, in order: the disk is slower than one thread.
void IngestService::TakeLoop(const std::stop_token& stop) {
  while (true) {
    Reactor* reactor = nullptr;
    {
      MutexLock lock(mutex_);
      wake_.wait(mutex_, stop,
                 [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !later_.empty(); });
      if (later_.empty()) return;
      reactor = later_.front();
      later_.pop_front();
    }
    reactor->TakeRecords();
    reactor->Release();
  }
}

void IngestService::Link::Ack(const v1::Ack& ack) {
  MutexLock lock(mutex_);
  if (reactor_ != nullptr) reactor_->SendAck(ack);
}
void IngestService::Link::Resume() {
  MutexLock lock(mutex_);
  if (reactor_ != nullptr) reactor_->Resume();
}
void IngestService::Link::Tell(const v1::CollectorMessage& message) {
  MutexLock lock(mutex_);
  if (reactor_ != nullptr) reactor_->Tell(message);
}
void IngestService::Link::Close(const absl::Status& reason) {
  MutexLock lock(mutex_);
  if (reactor_ != nullptr) reactor_->End(reason);
}

grpc::ServerBidiReactor<v1::AgentMessage, v1::CollectorMessage>* IngestService::Upload(
    grpc::CallbackServerContext* context) {
  return new Reactor(*this, context);
}

}  // namespace fleet::collector
