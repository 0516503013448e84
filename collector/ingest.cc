#include "collector/ingest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "collector/host_name.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

absl::string_view LaneName(v1::Hello::Lane lane) {
  return lane == v1::Hello::LANE_LIVE ? "live" : "backlog";
}

/// The host that a stream speaks for.
absl::StatusOr<std::string> NameOf(const v1::Hello& hello, const std::string& certificate_name) {
  if (!certificate_name.empty()) {
    if (hello.host().empty() || hello.host() == certificate_name) return certificate_name;
    return absl::PermissionDeniedError(absl::StrCat("the certificate is ", Quote(certificate_name),
                                                    "'s and may not report for ",
                                                    Quote(hello.host())));
  }
  if (!IsHostName(hello.host())) {
    return absl::InvalidArgumentError(absl::StrCat(Quote(hello.host()), " is no host name"));
  }
  return hello.host();
}

/// What the agent says, as far as it makes sense: a host must not claim to be fresh for ever.
absl::Duration IntervalOf(const v1::Hello& hello) {
  constexpr double kDaySeconds = 86'400;
  const double seconds = hello.interval_seconds();
  return seconds > 0 ? absl::Seconds(std::min(seconds, kDaySeconds)) : absl::ZeroDuration();
}

absl::Time SentAt(const v1::Records& records) {
  const double seconds = records.sent_timestamp_seconds();
  constexpr double kYear9999 = 253402300799.0;
  if (!(seconds > 0 && seconds < kYear9999)) return absl::InfinitePast();
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

SpoolFacts SpoolOf(const v1::Records& records) {
  SpoolFacts spool;
  spool.reports = records.spool_reports();
  spool.segments = records.spool_segments();
  spool.bytes = records.spool_bytes();
  const double oldest = records.spool_oldest_seconds();
  if (oldest > 0) spool.oldest_age = absl::Seconds(oldest);
  spool.dropped_reports = records.spool_dropped_reports();
  spool.damaged_bytes = records.spool_damaged_bytes();
  return spool;
}

}  // namespace

// ---- one stream -----------------------------------------------------------------------------

IngestStream::IngestStream(IngestHub& hub, uint64_t id, std::string host, v1::Hello::Lane lane)
    : hub_(hub),
      id_(id),
      host_(std::move(host)),
      lane_(lane),
      decoder_(&hub.state_.layouts()),
      reports_(hub.metrics_.Counter(self::kReports, {{"lane", LaneName(lane)}})),
      samples_(hub.metrics_.Counter(self::kSamples, {{"lane", LaneName(lane)}})),
      bytes_(hub.metrics_.Counter(self::kBytes, {{"lane", LaneName(lane)}})) {}

IngestStream::~IngestStream() { hub_.Ended(id_); }

absl::Status IngestStream::Expect(const v1::Records& records) {
  const SegmentId segment{records.epoch(), records.segment()};
  if (!any_ || segment != segment_) {
    decoder_ = SegmentDecoder(&hub_.state_.layouts());
    segment_ = segment;
    any_ = true;
  }
  if (records.first_index() != decoder_.next_index()) {
    return absl::InvalidArgumentError(absl::StrCat("segment ", segment.number,
                                                   " goes on at report ", records.first_index(),
                                                   ", expected ", decoder_.next_index()));
  }
  return absl::OkStatus();
}

absl::Status IngestStream::Receive(const v1::Records& records, const DecodedReport& report) {
  reports_.Add();
  samples_.Add(static_cast<double>(report.layout->size()));
  if (lane_ != v1::Hello::LANE_LIVE) return absl::OkStatus();
  const absl::Status applied = hub_.state_.Apply(host_, report, SentAt(records), SpoolOf(records));
  // Beyond a limit a report is safe but not served; the state counts and says so.
  return absl::IsResourceExhausted(applied) ? absl::OkStatus() : applied;
}

absl::Status IngestStream::Take(const v1::Records& records, const Ack& ack) {
  bytes_.Add(static_cast<double>(records.data().size()));
  absl::Status status = Expect(records);
  if (status.ok()) {
    status = decoder_.Feed(records.data(), [this, &records](const DecodedReport& report) {
      return Receive(records, report);
    });
  }
  if (status.ok() && decoder_.started() && decoder_.id() != segment_) {
    status = absl::InvalidArgumentError("the segment's header is another segment's");
  }
  if (!status.ok()) {
    hub_.CountRejected("records");
    return absl::InvalidArgumentError(absl::StrCat("bad records: ", status.message()));
  }
  v1::Ack done;
  done.set_epoch(segment_.epoch);
  done.set_segment(segment_.number);
  done.set_next_index(decoder_.next_index());
  ack(done);
  return absl::OkStatus();
}

// ---- all streams ----------------------------------------------------------------------------

IngestHub::IngestHub(FleetState& state, SelfMetrics& metrics) : state_(state), metrics_(metrics) {
  for (const char* lane : {"live", "backlog"}) metrics_.Set(self::kStreams, {{"lane", lane}}, 0);
}

absl::StatusOr<std::unique_ptr<IngestStream>> IngestHub::Open(const v1::Hello& hello,
                                                              const std::string& certificate_name,
                                                              const std::string& address,
                                                              Close close) {
  FLEET_ASSIGN_OR_RETURN(const std::string host, NameOf(hello, certificate_name));
  MutexLock lock(mutex_);
  if (draining_) return absl::UnavailableError("the collector is stopping");
  uint64_t connection = 0;
  if (hello.lane() == v1::Hello::LANE_LIVE) {
    FLEET_ASSIGN_OR_RETURN(connection,
                           state_.Connect(host,
                                          {.agent_version = OneLine(hello.agent_version(), 64),
                                           .interval = IntervalOf(hello)},
                                          address));
    // The newer wins: the older is most likely a path that died without saying so.
    const auto older = live_.find(host);
    if (older != live_.end()) {
      streams_.at(older->second)
          .close(
              absl::AbortedError(absl::StrCat("a newer stream of ", host, " came from ", address)));
      metrics_.Count(self::kRejected, {{"reason", "superseded"}});
    }
  }
  const uint64_t id = next_id_++;
  if (hello.lane() == v1::Hello::LANE_LIVE) live_[host] = id;
  streams_.emplace(id, Entry{host, hello.lane(), connection, std::move(close)});
  return std::unique_ptr<IngestStream>(new IngestStream(*this, id, host, hello.lane()));
}

void IngestHub::Ended(uint64_t id) {
  MutexLock lock(mutex_);
  const auto found = streams_.find(id);
  const Entry& entry = found->second;
  if (entry.lane == v1::Hello::LANE_LIVE) {
    state_.Disconnect(entry.host, entry.connection);
    const auto live = live_.find(entry.host);
    if (live != live_.end() && live->second == id) live_.erase(live);
  }
  streams_.erase(found);
}

void IngestHub::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  for (auto& [id, entry] : streams_) {
    entry.close(absl::UnavailableError("the collector is stopping"));
  }
}

size_t IngestHub::size() const {
  MutexLock lock(mutex_);
  return streams_.size();
}

void IngestHub::SetMetrics() {
  double live = 0;
  double backlog = 0;
  {
    MutexLock lock(mutex_);
    live = static_cast<double>(live_.size());
    backlog = static_cast<double>(streams_.size()) - live;
  }
  metrics_.Set(self::kStreams, {{"lane", "live"}}, live);
  metrics_.Set(self::kStreams, {{"lane", "backlog"}}, backlog);
}

void IngestHub::CountRejected(absl::string_view reason) {
  metrics_.Count(self::kRejected, {{"reason", reason}});
}

}  // namespace fleet::collector
