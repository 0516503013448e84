#include "agent/uplink.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/backoff.h"
#include "agent/credentials.h"
#include "agent/upload_stream.h"
#include "common/escape.h"
#include "common/file_stamp.h"
#include "common/log.h"
#include "common/mutex.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

std::chrono::system_clock::time_point WallAfter(absl::Duration span) {
  return std::chrono::system_clock::now() + absl::ToChronoMicroseconds(span);
}

/// A channel for one attempt: it makes one connection, and the pauses between attempts are ours.
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
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, ms(Uplink::kConnectTimeout));
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // No pings that measure the bandwidth of what little comes back.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return grpc::CreateCustomChannel(options.collector, credentials, arguments);
}

SegmentId IdOf(const v1::Ack& ack) { return {ack.epoch(), ack.segment()}; }

}  // namespace

/// The thread and its two streams. Everything but Wake runs on the loop's own thread.
class Uplink::Loop {
 public:
  Loop(UplinkOptions options, Spool& spool, Clock& clock)
      : options_(std::move(options)),
        spool_(spool),
        clock_(clock),
        lanes_{Lane{v1::Hello::LANE_LIVE}, Lane{v1::Hello::LANE_BACKLOG}} {
    spool_.SetWake(options_.number, [this](absl::Duration delay) { Wake(delay); });
    thread_ = std::thread([this] { Run(); });
  }

  ~Loop() {
    spool_.SetWake(options_.number, nullptr);
    stopping_ = true;
    Wake(absl::ZeroDuration());
    thread_.join();
  }

  bool connected() const { return connected_; }

 private:
  struct Lane {
    explicit Lane(v1::Hello::Lane kind_of)
        : kind(kind_of), backoff(std::random_device()() + static_cast<uint64_t>(kind_of)) {}
    const v1::Hello::Lane kind;
    Backoff backoff;
    std::unique_ptr<UploadStream> stream;
    SteadyTime next_attempt;
  };
  static constexpr intptr_t kWoken = 1;
  static constexpr intptr_t kTags = 8;  // of lane i: from (i + 1) * kTags on

  Lane& live() { return lanes_[0]; }
  Lane& backlog() { return lanes_[1]; }

  /// Wakes the thread after `delay`, instead of what was asked for before. An alarm that was due
  /// long ago needs neither of gRPC's timer threads, which one for now would wake, because of
  /// rounding.
  void Wake(absl::Duration delay) {
    MutexLock lock(alarm_mutex_);
    // The old one's end delivers its kWoken at once, which does no harm. It is not assigned to:
    // gRPC's move assignment forgets what it held (grpc issue 32549).
    alarm_.emplace();
    const auto at =
        delay <= absl::ZeroDuration() ? std::chrono::system_clock::time_point() : WallAfter(delay);
    alarm_->Set(&queue_, at, reinterpret_cast<void*>(kWoken));
  }

  void Run() {
    while (true) {
      const SteadyTime now = clock_.SteadyNow();
      if (stopping_) {
        Drain(now);
      } else {
        OpenWhatIsDue(now);
      }
      for (Lane& lane : lanes_) Pump(lane);
      if (stopping_ && live().stream == nullptr && backlog().stream == nullptr) break;
      void* tag = nullptr;
      bool ok = false;
      if (queue_.AsyncNext(&tag, &ok, WallAfter(TimeToWait(now))) ==
          grpc::CompletionQueue::GOT_EVENT) {
        Handle(reinterpret_cast<intptr_t>(tag), ok);
      }
    }
    {
      MutexLock lock(alarm_mutex_);
      alarm_.reset();
    }
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  bool draining() const { return drain_until_ != SteadyTime::max(); }

  absl::Duration TimeToWait(SteadyTime now) {
    // Who stops us after this turn began wakes us for the next, which sets the end.
    if (draining()) return std::max(drain_until_ - now, absl::ZeroDuration());
    SteadyTime due = SteadyAfter(now, absl::Hours(1));
    if (live().stream == nullptr) {
      due = std::min(due, live().next_attempt);
      if (!options_.insecure) due = std::min(due, SteadyAfter(now, kLookForCertificate));
    }
    // When a backlog will wait is only known once it does.
    const SteadyTime backlog_at = std::max(backlog().next_attempt, backlog_from_);
    if (connected_ && backlog().stream == nullptr && backlog_at > now) {
      due = std::min(due, backlog_at);
    }
    return std::max(due - now, absl::ZeroDuration());
  }

  void OpenWhatIsDue(SteadyTime now) {
    if (live().stream == nullptr && (live().next_attempt <= now || HasNewCertificate())) {
      certificate_ = CertificateStamp();
      const auto credentials = LoadCredentials(
          {options_.insecure, options_.tls_ca, options_.tls_cert, options_.tls_key});
      if (!credentials.ok()) return Lost(live(), credentials.status(), false, now);
      channel_ = MakeChannel(options_, *credentials);
      Open(live(), now);
    }
    if (connected_ && backlog().stream == nullptr &&
        std::max(backlog().next_attempt, backlog_from_) <= now &&
        spool_.BacklogWaits(options_.number)) {
      Open(backlog(), now);
    }
  }

  std::string CertificateStamp() const {
    if (options_.insecure) return "";
    return FileStamp({options_.tls_ca, options_.tls_cert, options_.tls_key});
  }
  /// Whether the host joined or renewed since the last attempt: what that one met says nothing.
  bool HasNewCertificate() const { return CertificateStamp() != certificate_; }

  void Open(Lane& lane, SteadyTime now) {
    lane.stream = std::make_unique<UploadStream>(channel_, queue_, (lane.kind + 1) * kTags, now);
  }

  /// At the end: what waits is sent and its acks are taken, backlog has time at the next start.
  void Drain(SteadyTime now) {
    if (!draining()) {
      drain_until_ = SteadyAfter(now, kDrainTime);
      if (backlog().stream != nullptr) backlog().stream->Cancel();
      if (live().stream != nullptr && !live().stream->welcomed) live().stream->Cancel();
    }
    if (now < drain_until_) return;
    for (Lane& lane : lanes_) {
      if (lane.stream != nullptr) lane.stream->Cancel();
    }
  }

  void Handle(intptr_t tag, bool ok) {
    if (tag < kTags) return;
    Lane& lane = lanes_[static_cast<size_t>(tag / kTags - 1)];
    switch (lane.stream->Handle(static_cast<UploadStream::Operation>(tag % kTags), ok)) {
      case UploadStream::Event::kStarted:
        return SendHello(lane);
      case UploadStream::Event::kMessage:
        HandleMessage(lane, lane.stream->message());
        return lane.stream->Read();
      case UploadStream::Event::kEnded:
        return HandleEnd(lane);
      case UploadStream::Event::kWritable:
      case UploadStream::Event::kNone:
        return;
    }
  }

  void SendHello(Lane& lane) {
    v1::AgentMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_lane(lane.kind);
    hello.set_host(options_.host);
    hello.set_agent_version(options_.version);
    hello.set_epoch(spool_.epoch());
    hello.set_interval_seconds(absl::ToDoubleSeconds(options_.interval));
    // Asked first: a list that is pending now may be whole a moment later, but not the reverse.
    hello.set_spool_pending(spool_.pending());
    hello.set_vantage(options_.plan != nullptr);
    for (const Spool::Closed& closed : spool_.ClosedSegments()) {
      v1::SpoolSegment& segment = *hello.add_spool();
      segment.set_epoch(closed.id.epoch);
      segment.set_segment(closed.id.number);
      segment.set_reports(closed.reports);
    }
    lane.stream->Write(message);
  }

  void HandleMessage(Lane& lane, const v1::CollectorMessage& message) {
    if (message.has_ack()) {
      spool_.Ack(options_.number, IdOf(message.ack()), message.ack().next_index());
      return;
    }
    if (message.has_plan() || message.has_hurry()) {
      if (options_.plan != nullptr && !stopping_) options_.plan(message);
      return;
    }
    if (!message.has_welcome() || lane.stream->welcomed) return;
    lane.stream->welcomed = true;
    for (const v1::Ack& ack : message.welcome().safe()) {
      spool_.Ack(options_.number, IdOf(ack), ack.next_index());
    }
    if (lane.kind == v1::Hello::LANE_BACKLOG) return spool_.OpenBacklog(options_.number);
    connected_ = true;
    backlog_from_ = SteadyAfter(clock_.SteadyNow(), kLiveFirst);
    last_loss_.clear();
    log::Info("connected", {{"collector", options_.collector},
                            {"as", message.welcome().host()},
                            {"collector_version", message.welcome().collector_version()}});
    const std::vector<std::string> checks = spool_.OpenLive(options_.number);
    if (!checks.empty() && options_.refresh && !stopping_) options_.refresh(checks);
  }

  /// Writes what the lane has, one message at a time.
  void Pump(Lane& lane) {
    if (lane.stream == nullptr || !lane.stream->welcomed) return;
    const bool is_live = lane.kind == v1::Hello::LANE_LIVE;
    if (!lane.stream->writable()) {
      if (is_live) spool_.MissLive(options_.number);
      return;
    }
    std::optional<Spool::Batch> batch =
        is_live ? spool_.TakeLive(options_.number) : spool_.TakeBacklog(options_.number);
    if (batch.has_value()) return Send(lane, *std::move(batch));
    if (is_live ? stopping_.load() : spool_.BacklogDone(options_.number)) {
      lane.stream->WritesDone();
    }
  }

  void Send(Lane& lane, Spool::Batch batch) {
    const Spool::Stats stats = spool_.stats(options_.number);
    v1::AgentMessage message;
    v1::Records& records = *message.mutable_records();
    records.set_epoch(batch.segment.epoch);
    records.set_segment(batch.segment.number);
    records.set_first_index(batch.first_index);
    records.set_data(std::move(batch.records));
    records.set_sent_timestamp_seconds(absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch()));
    if (batch.age.has_value()) {
      records.set_segment_age_seconds(absl::ToDoubleSeconds(*batch.age));
    }
    records.set_last(batch.last);
    records.set_spool_reports(stats.reports);
    records.set_spool_bytes(stats.bytes);
    records.set_spool_segments(stats.segments);
    records.set_spool_oldest_seconds(absl::ToDoubleSeconds(stats.oldest_age));
    records.set_spool_dropped_reports(stats.dropped_reports);
    records.set_spool_damaged_bytes(stats.damaged_bytes);
    lane.stream->Write(message);
    if (&lane == &live()) backlog_from_ = SteadyTime();
  }

  void HandleEnd(Lane& lane) {
    const SteadyTime now = clock_.SteadyNow();
    const absl::Status status = lane.stream->status();
    const bool welcomed = lane.stream->welcomed;
    const absl::Duration life = now - lane.stream->opened();
    const bool finished = lane.stream->half_closed() && status.ok();
    lane.stream.reset();
    if (lane.kind == v1::Hello::LANE_LIVE) {
      connected_ = false;
      spool_.CloseLive(options_.number);
      if (!stopping_) Lost(lane, status, welcomed, now, life);
      return;
    }
    if (absl::IsInvalidArgument(status) && spool_.RefuseBacklog(options_.number)) {
      log::Warning("the collector refuses a segment of the spool, which is given up",
                   {{"collector", options_.collector}, {"error", OneLine(status.message())}});
    }
    spool_.CloseBacklog(options_.number);
    lane.next_attempt =
        SteadyAfter(now, finished ? kBacklogPause : lane.backoff.Next(status, welcomed, life));
  }

  /// Sets the next attempt, and logs the loss of the collector once, not every attempt.
  void Lost(Lane& lane, const absl::Status& status, bool welcomed, SteadyTime now,
            absl::Duration life = absl::ZeroDuration()) {
    lane.next_attempt = SteadyAfter(now, lane.backoff.Next(status, welcomed, life));
    std::string reason = OneLine(status.message());
    if (status.ok()) reason = "the collector ended the stream";
    if (reason == last_loss_) return;
    last_loss_ = reason;
    log::Warning(
        Backoff::IsRefusal(status) ? "the collector refuses us" : "no stream to the collector",
        {{"collector", options_.collector}, {"error", reason}});
  }

  const UplinkOptions options_;
  Spool& spool_;
  Clock& clock_;
  grpc::CompletionQueue queue_;
  std::shared_ptr<grpc::Channel> channel_;
  Lane lanes_[2];
  std::string last_loss_;
  std::string certificate_;  // its stamp at the last attempt
  SteadyTime backlog_from_;  // no backlog is begun before
  SteadyTime drain_until_ = SteadyTime::max();

  Mutex alarm_mutex_;
  std::optional<grpc::Alarm> alarm_ ABSL_GUARDED_BY(alarm_mutex_);

  std::atomic<bool> stopping_ = false;
  std::atomic<bool> connected_ = false;
  std::thread thread_;
};

Uplink::Uplink(UplinkOptions options, Spool& spool, Clock& clock)
    : loop_(std::make_unique<Loop>(std::move(options), spool, clock)) {}
Uplink::~Uplink() = default;
bool Uplink::connected() const { return loop_->connected(); }

}  // namespace fleet::agent
