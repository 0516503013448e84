#include "agent/uplink.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/credentials.h"
#include "agent/outbox.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/status_macros.h"
#include "fleet/v1/ingest.grpc.pb.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kDrainTime = absl::Milliseconds(500);
/// A stream that lived this long was healthy: the next pause starts small again.
constexpr absl::Duration kHealthyTime = absl::Seconds(10);

std::chrono::system_clock::time_point WallAfter(absl::Duration span) {
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(span);
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const UplinkOptions& options, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  const auto ms = [](absl::Duration span) {
    return static_cast<int>(absl::ToInt64Milliseconds(span));
  };
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, ms(Uplink::kKeepaliveTime));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms(Uplink::kKeepaliveTimeout));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The channel's own pauses between connects, jittered by gRPC.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, ms(Uplink::kBackoffMin));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, ms(Uplink::kBackoffMin));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, ms(Uplink::kBackoffMax));
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return grpc::CreateCustomChannel(options.collector, credentials, arguments);
}

}  // namespace

/// The thread, the stream and what waits for it. Everything but Send runs on the loop's own thread.
class Uplink::Loop {
 public:
  Loop(UplinkOptions options, Clock& clock)
      : options_(std::move(options)),
        outbox_(options_.epoch, clock),
        clock_(clock),
        random_(std::random_device()()),
        thread_([this] { Run(); }) {}

  ~Loop() {
    stopping_ = true;
    Wake(absl::ZeroDuration());
    thread_.join();
  }

  void Send(std::shared_ptr<const Report> report) {
    const std::optional<SteadyTime> due = outbox_.Add(std::move(report));
    if (due.has_value()) Wake(*due - clock_.SteadyNow());
  }

  bool connected() const { return connected_; }
  uint64_t dropped() const { return outbox_.dropped(); }

 private:
  using Stream = grpc::ClientAsyncReaderWriter<v1::AgentMessage, v1::CollectorMessage>;
  enum Tag : intptr_t { kStarted = 1, kWritten, kRead, kFinished, kWoken };
  static void* ToTag(Tag tag) { return reinterpret_cast<void*>(tag); }

  /// Wakes the thread after `delay`; a sooner wake-up replaces a later one.
  void Wake(absl::Duration delay) {
    MutexLock lock(alarm_mutex_);
    if (alarm_set_) alarm_.Cancel();  // delivers its kWoken at once, which does no harm
    alarm_set_ = true;
    alarm_ = grpc::Alarm();
    alarm_.Set(&queue_, WallAfter(delay), ToTag(kWoken));
  }

  void Run() {
    absl::Duration pause = kBackoffMin;
    while (!stopping_) {
      const SteadyTime opened = clock_.SteadyNow();
      const absl::Status status = OneStream();
      if (stopping_) break;
      LogLoss(status);
      if (clock_.SteadyNow() - opened >= kHealthyTime) pause = kBackoffMin;
      const double jitter = std::uniform_real_distribution<double>(0.5, 1.5)(random_);
      Pause(pause * jitter);
      pause = std::min(pause * 2, BackoffMax(status, kBackoffMax));
    }
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    {
      MutexLock lock(alarm_mutex_);
      alarm_.Cancel();
    }
    while (queue_.Next(&tag, &ok)) {
    }
  }

  /// Logs the loss of the collector once, not every attempt.
  void LogLoss(const absl::Status& status) {
    const std::string reason = OneLine(status.message());
    if (reason == last_loss_) return;
    last_loss_ = reason;
    log::Warning("no stream to the collector",
                 {{"collector", options_.collector}, {"error", reason}});
  }

  void Pause(absl::Duration span) {
    const auto until = WallAfter(span);
    void* tag = nullptr;
    bool ok = false;
    while (!stopping_ && queue_.AsyncNext(&tag, &ok, until) == grpc::CompletionQueue::GOT_EVENT) {
    }
  }

  /// One stream from its opening to its end; the status says why it ended.
  absl::Status OneStream() {
    const auto credentials =
        LoadCredentials({options_.insecure, options_.tls_ca, options_.tls_cert, options_.tls_key});
    FLEET_RETURN_IF_ERROR(credentials.status());
    if (channel_ == nullptr || !options_.insecure) channel_ = MakeChannel(options_, *credentials);
    const auto stub = v1::Ingest::NewStub(channel_);
    grpc::ClientContext context;
    stream_ = stub->PrepareAsyncUpload(&context, &queue_);
    open_ = false;
    writing_ = finishing_ = false;
    pending_ = 1;
    stream_->StartCall(ToTag(kStarted));
    SteadyTime drain_until = SteadyTime::max();
    while (pending_ > 0) {
      if (stopping_ && drain_until == SteadyTime::max()) {
        drain_until = SteadyAfter(clock_.SteadyNow(), kDrainTime);
      }
      const absl::Duration wait =
          stopping_ ? std::max(drain_until - clock_.SteadyNow(), absl::ZeroDuration())
                    : absl::Hours(1);
      void* tag = nullptr;
      bool ok = false;
      const auto got = queue_.AsyncNext(&tag, &ok, WallAfter(wait));
      if (got == grpc::CompletionQueue::GOT_EVENT)
        Handle(static_cast<Tag>(reinterpret_cast<intptr_t>(tag)), ok);
      if (stopping_ && (clock_.SteadyNow() >= drain_until || !open_)) context.TryCancel();
      if (stopping_ && open_ && !writing_ && !half_closed_) HalfClose();
    }
    outbox_.Close();
    connected_ = false;
    half_closed_ = false;
    stream_.reset();
    return absl::Status(static_cast<absl::StatusCode>(status_.error_code()),
                        status_.error_message());
  }

  void HalfClose() {
    MaybeWrite();
    if (writing_) return;
    half_closed_ = true;
    writing_ = true;
    ++pending_;
    stream_->WritesDone(ToTag(kWritten));
  }

  void Handle(Tag tag, bool ok) {
    if (tag == kWoken) {
      MaybeWrite();
      return;
    }
    --pending_;
    switch (tag) {
      case kStarted:
        if (!ok) return Finish();
        SendHello();
        return Read();
      case kWritten:
        writing_ = false;
        if (!ok) return Finish();
        return MaybeWrite();
      case kRead:
        if (!ok) return Finish();
        HandleMessage();
        return Read();
      case kFinished:
        return;
      case kWoken:
        return;
    }
  }

  void SendHello() {
    v1::AgentMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_lane(v1::Hello::LANE_LIVE);
    hello.set_host(options_.host);
    hello.set_agent_version(options_.version);
    hello.set_epoch(options_.epoch);
    hello.set_interval_seconds(absl::ToDoubleSeconds(options_.interval));
    outbox_.Open();
    open_ = true;
    Write(message);
  }

  void Write(const v1::AgentMessage& message) {
    writing_ = true;
    ++pending_;
    stream_->Write(message, ToTag(kWritten));
  }

  void MaybeWrite() {
    if (!open_ || writing_ || finishing_ || half_closed_) return;
    std::optional<Outbox::Batch> batch = outbox_.Take();
    if (!batch.has_value()) return;
    v1::AgentMessage message;
    v1::Records& records = *message.mutable_records();
    records.set_epoch(batch->segment.epoch);
    records.set_segment(batch->segment.number);
    records.set_first_index(batch->first_index);
    records.set_data(std::move(batch->records));
    records.set_sent_timestamp_seconds(absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch()));
    Write(message);
  }

  void Read() {
    if (finishing_) return;
    ++pending_;
    stream_->Read(&received_, ToTag(kRead));
  }

  void HandleMessage() {
    if (!received_.has_welcome()) return;
    connected_ = true;
    last_loss_.clear();
    log::Info("connected", {{"collector", options_.collector},
                            {"as", received_.welcome().host()},
                            {"collector_version", received_.welcome().collector_version()}});
  }

  void Finish() {
    if (finishing_) return;
    finishing_ = true;
    open_ = false;
    ++pending_;
    stream_->Finish(&status_, ToTag(kFinished));
  }

  const UplinkOptions options_;
  Outbox outbox_;
  Clock& clock_;
  std::mt19937_64 random_;
  grpc::CompletionQueue queue_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stream> stream_;
  grpc::Status status_;
  v1::CollectorMessage received_;
  bool open_ = false;
  bool writing_ = false;
  bool half_closed_ = false;
  bool finishing_ = false;
  int pending_ = 0;  // operations whose tags have not come back
  std::string last_loss_;

  Mutex alarm_mutex_;
  grpc::Alarm alarm_ ABSL_GUARDED_BY(alarm_mutex_);
  bool alarm_set_ ABSL_GUARDED_BY(alarm_mutex_) = false;

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> connected_ = false;
  std::thread thread_;
};

Uplink::Uplink(UplinkOptions options, Clock& clock)
    : loop_(std::make_unique<Loop>(std::move(options), clock)) {}
Uplink::~Uplink() = default;
void Uplink::Send(std::shared_ptr<const Report> report) { loop_->Send(std::move(report)); }
bool Uplink::connected() const { return loop_->connected(); }
uint64_t Uplink::dropped() const { return loop_->dropped(); }

}  // namespace fleet::agent
