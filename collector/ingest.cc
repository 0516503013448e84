#include "collector/ingest.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/escape.h"
#include "common/host_name.h"
#include "common/log.h"
#include "common/probe/look_report.h"
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

constexpr absl::Duration kAgeMax = absl::Hours(24 * 3650);
constexpr absl::Duration kSameClock = absl::Seconds(1);
/// Our clock was set, rather than slewed, when it moved more than this within a segment.
constexpr absl::Duration kClockSet = absl::Seconds(30);
/// Items of statuses count again each time they change, until what is remembered is begun anew.
constexpr size_t kRememberFactor = 4;

/// What leads from the host's clock to ours, by the best that is known of a segment that starts
/// here: its age by a clock that nobody sets, else the clock that the agent has now.
absl::Duration OffsetOf(const v1::Records& records, absl::Time created, absl::Time now) {
  absl::Duration offset;
  const absl::Duration age = absl::Seconds(records.segment_age_seconds());
  if (records.has_segment_age_seconds() && age >= absl::ZeroDuration() && age < kAgeMax) {
    offset = now - age - created;
  } else if (const absl::Time sent = SentAt(records); sent != absl::InfinitePast()) {
    offset = now - sent;
  }
  offset = absl::Trunc(offset, absl::Microseconds(1));
  if (absl::AbsDuration(offset) < kSameClock) offset = absl::ZeroDuration();
  // Nothing was created later than now.
  return std::min(offset, absl::Trunc(now - created, absl::Microseconds(1)));
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

/// What the journal says to a stream, in the words of the wire. Outlives the stream.
class IngestStream::Link final : public JournalClient {
 public:
  Link(std::shared_ptr<IngestClient> client, bool live, SelfCounter acks)
      : client_(std::move(client)), live_(live), acks_(acks) {}

  void Safe(const SegmentId& id, uint64_t next_index) override {
    v1::Ack ack;
    ack.set_epoch(id.epoch);
    ack.set_segment(id.number);
    ack.set_next_index(next_index);
    acks_.Add();
    client_->Ack(ack);
  }
  void Room() override {
    if (!live_) return client_->Resume();
    client_->Close(absl::UnavailableError(
        "the collector's disk takes reports again: what was not acknowledged must come again"));
  }

 private:
  const std::shared_ptr<IngestClient> client_;
  const bool live_;
  const SelfCounter acks_;
};

IngestStream::IngestStream(IngestHub& hub, uint64_t id, std::string host, v1::Hello::Lane lane,
                           std::shared_ptr<IngestClient> client)
    : hub_(hub),
      id_(id),
      host_(std::move(host)),
      lane_(lane),
      link_(std::make_shared<Link>(std::move(client), lane == v1::Hello::LANE_LIVE,
                                   hub.metrics_.Counter(self::kAcks, {{"lane", LaneName(lane)}}))),
      decoder_(&hub.state_.layouts()),
      reports_(hub.metrics_.Counter(self::kReports, {{"lane", LaneName(lane)}})),
      samples_(hub.metrics_.Counter(self::kSamples, {{"lane", LaneName(lane)}})),
      bytes_(hub.metrics_.Counter(self::kBytes, {{"lane", LaneName(lane)}})) {}

IngestStream::~IngestStream() {
  if (vantage_) hub_.parts_.vantages->Left(host_, id_);
  if (hub_.parts_.journal != nullptr) hub_.parts_.journal->WaitNoMore(*link_);
  hub_.Ended(id_);
}

absl::Status IngestStream::Expect(const v1::Records& records) {
  const SegmentId segment{records.epoch(), records.segment()};
  if (!any_ || segment != segment_) {
    decoder_ = SegmentDecoder(&hub_.state_.layouts());
    segment_ = segment;
    any_ = true;
    Journal* journal = hub_.parts_.journal;
    known_ = journal == nullptr ? 0 : journal->Accepted(host_, segment);
  }
  if (records.first_index() != decoder_.next_index()) {
    return absl::InvalidArgumentError(absl::StrCat("segment ", segment.number,
                                                   " goes on at report ", records.first_index(),
                                                   ", expected ", decoder_.next_index()));
  }
  return absl::OkStatus();
}

/// Backlog is history, not state; what changed in it did so at its own time.
void IngestStream::NoteHistory(const DecodedReport& report) {
  if (hub_.parts_.events == nullptr) return;
  const auto found = memory_.find(report.check);
  const ReportStatus* const before = found == memory_.end() ? nullptr : found->second.get();
  if (before == report.status.get()) return;
  if (report.index >= known_) {
    hub_.parts_.events->StatusChanged(host_, report.check, before, *report.status,
                                      report.start + report.duration + offset_);
  }
  Remember(report.check, report.status);
}

/// Bounded, whatever the segments name: who has more than any honest host begins anew, which costs
/// nothing but an event.
void IngestStream::Remember(absl::string_view check,
                            const std::shared_ptr<const ReportStatus>& status) {
  const StateLimits& limits = hub_.state_.options().limits;
  const ItemsSize size = SizeOfItems(*status);
  remembered_ += size;
  if (remembered_.items > kRememberFactor * limits.items.items ||
      remembered_.bytes > kRememberFactor * limits.items.bytes ||
      memory_.size() > limits.checks_per_host) {
    memory_.clear();
    remembered_ = size;
  }
  memory_[std::string(check)] = status;
}

absl::Status IngestStream::Receive(const v1::Records& records, const DecodedReport& report) {
  reports_.Add();
  samples_.Add(static_cast<double>(report.layout->size()));
  if (records.first_index() == 0 && report.index == 0) {
    const absl::Time came = hub_.clock_.Now() - (hub_.clock_.SteadyNow() - came_);
    offset_ = OffsetOf(records, decoder_.created(), came);
  }
  // What a vantage saw says nothing of the host itself.
  if (probe::IsLook(report.check)) {
    const bool news = report.index >= known_ && hub_.parts_.vantages != nullptr;
    if (news) hub_.parts_.vantages->Look(host_, report, offset_);
    return absl::OkStatus();
  }
  if (!live()) {
    NoteHistory(report);
    return absl::OkStatus();
  }
  if (report.index < known_) return absl::OkStatus();  // a repeat is not news
  const absl::Status applied = hub_.state_.Apply(host_, report, SentAt(records), SpoolOf(records));
  // Beyond a limit a report is safe but not served; the state counts and says so.
  return absl::IsResourceExhausted(applied) ? absl::OkStatus() : applied;
}

absl::Status IngestStream::Decode(const v1::Records& records) {
  FLEET_RETURN_IF_ERROR(Expect(records));
  // The end of a segment may be said when all its records are sent.
  if (records.data().empty() && records.last()) return absl::OkStatus();
  FLEET_RETURN_IF_ERROR(
      decoder_.Feed(records.data(), [this, &records](const DecodedReport& report) {
        // Known with the header alone, and nothing of another segment may be taken.
        if (report.segment != segment_) {
          return absl::InvalidArgumentError("the segment's header is another segment's");
        }
        return Receive(records, report);
      }));
  if (decoder_.id() != segment_) {
    return absl::InvalidArgumentError("the segment's header is another segment's");
  }
  return absl::OkStatus();
}

absl::Status IngestStream::Keep(const v1::Records& records) {
  const uint64_t next = decoder_.next_index();
  Journal* journal = hub_.parts_.journal;
  if (journal == nullptr) {
    link_->Safe(segment_, next);
    return absl::OkStatus();
  }
  if (unkept_ || next == 0) return absl::OkStatus();
  Journal::Records kept;
  kept.host = host_;
  kept.id = segment_;
  kept.backlog = !live();
  kept.first_index = records.first_index();
  kept.count = next - records.first_index();
  kept.data = records.data();
  kept.last = records.last();
  if (records.first_index() == 0) {
    kept.offset = offset_;
    kept.created = decoder_.created() + kept.offset;
  }
  FLEET_ASSIGN_OR_RETURN(const Journal::Taken taken, journal->Append(kept, link_));
  if (taken.outcome == Journal::Outcome::kSafe) link_->Safe(segment_, taken.next_index);
  if (taken.outcome == Journal::Outcome::kNoRoom) {
    // Live values go on; what is not kept is not acknowledged, and the agent keeps it.
    unkept_ = true;
    hub_.metrics_.Count(self::kUnkept, {});
    journal->WhenRoom(link_, host_, records.data().size(), false);
  }
  return absl::OkStatus();
}

void IngestStream::NoteDrops(const v1::Records& records) {
  const uint64_t dropped = records.spool_dropped_reports();
  if (dropped > dropped_ && hub_.parts_.events != nullptr && live()) {
    hub_.parts_.events->SpoolDropped(host_, dropped - dropped_);
  }
  dropped_ = dropped;
}

/// A segment is dated by our clock when it begins. When that was set since, the agent must begin
/// another: else the rest of it, up to an hour, would lie in the future or the past.
absl::Status IngestStream::CheckClock(const v1::Records& records) {
  const absl::Duration clock =
      (hub_.clock_.Now() - absl::UnixEpoch()) - (hub_.clock_.SteadyNow() - SteadyTime());
  if (!any_ || records.first_index() == 0) clock_ = clock;
  if (!live() || absl::AbsDuration(clock - clock_) <= kClockSet) return absl::OkStatus();
  return absl::UnavailableError("the collector's clock was set: begin another segment");
}

absl::StatusOr<IngestStream::Next> IngestStream::Take(const v1::Records& records) {
  FLEET_RETURN_IF_ERROR(CheckClock(records));
  if (!waited_) came_ = hub_.clock_.SteadyNow();
  Journal* journal = hub_.parts_.journal;
  const size_t size = records.data().size();
  waited_ = !live() && journal != nullptr && !journal->HasRoom(host_, size, true);
  if (waited_) {
    journal->WhenRoom(link_, host_, size, true);
    return Next::kWait;
  }
  bytes_.Add(static_cast<double>(size));
  absl::Status status = Decode(records);
  if (!status.ok()) {
    hub_.CountRejected("records");
    return absl::InvalidArgumentError(absl::StrCat("bad records: ", status.message()));
  }
  NoteDrops(records);
  status = Keep(records);
  if (!status.ok()) {
    hub_.CountRejected("sequence");
    return status;
  }
  return Next::kRead;
}

// ---- all streams ----------------------------------------------------------------------------

IngestHub::IngestHub(FleetState& state, SelfMetrics& metrics, Clock& clock, const Parts& parts)
    : state_(state), metrics_(metrics), clock_(clock), parts_(parts) {
  for (const char* lane : {"live", "backlog"}) metrics_.Set(self::kStreams, {{"lane", lane}}, 0);
}

/// Tells the journal what the agent still has, and the agent what of it is safe.
void IngestHub::Announce(const v1::Hello& hello, IngestStream& stream) {
  // A list that is not whole would let what is still to come pass for gone.
  if (parts_.journal == nullptr || hello.spool_pending()) return;
  std::vector<AnnouncedSegment> spool;
  spool.reserve(static_cast<size_t>(hello.spool_size()));
  for (const v1::SpoolSegment& segment : hello.spool()) {
    spool.push_back({{segment.epoch(), segment.segment()}, segment.reports()});
  }
  for (const AnnouncedSegment& safe :
       parts_.journal->Announce(stream.host_, hello.epoch(), spool)) {
    v1::Ack& ack = stream.safe_.emplace_back();
    ack.set_epoch(safe.id.epoch);
    ack.set_segment(safe.id.number);
    ack.set_next_index(safe.reports);
  }
}

absl::StatusOr<std::unique_ptr<IngestStream>> IngestHub::Open(
    const v1::Hello& hello, const std::string& certificate_name, const std::string& address,
    std::shared_ptr<IngestClient> client) {
  FLEET_ASSIGN_OR_RETURN(const std::string host, NameOf(hello, certificate_name));
  const bool live = hello.lane() == v1::Hello::LANE_LIVE;
  std::unique_ptr<IngestStream> stream;
  {
    MutexLock lock(mutex_);
    if (draining_) return absl::UnavailableError("the collector is stopping");
    uint64_t connection = 0;
    StatusMemory before;
    if (live) {
      if (parts_.events != nullptr) before = state_.Statuses(host);
      FLEET_ASSIGN_OR_RETURN(connection,
                             state_.Connect(host,
                                            {.agent_version = OneLine(hello.agent_version(), 64),
                                             .interval = IntervalOf(hello)},
                                            address));
    }
    // The newer wins: the older is most likely a path that died without saying so.
    auto& lane = live ? live_ : backlog_;
    if (const auto older = lane.find(host); older != lane.end()) {
      streams_.at(older->second)
          .client->Close(
              absl::AbortedError(absl::StrCat("a newer stream of ", host, " came from ", address)));
      metrics_.Count(self::kRejected, {{"reason", "superseded"}});
    }
    const uint64_t id = next_id_++;
    streams_.emplace(id, Entry{host, hello.lane(), connection, client});
    stream.reset(new IngestStream(*this, id, host, hello.lane(), client));
    lane[host] = id;
    if (live) {
      if (parts_.events != nullptr) before_[host] = std::move(before);
    } else if (const auto known = before_.find(host); known != before_.end()) {
      stream->memory_ = known->second;
    }
  }
  Announce(hello, *stream);
  if (live && hello.vantage() && parts_.vantages != nullptr) {
    stream->vantage_ = true;
    parts_.vantages->Joined(host, stream->id_, address, std::move(client));
  }
  return stream;
}

void IngestHub::Ended(uint64_t id) {
  MutexLock lock(mutex_);
  const auto found = streams_.find(id);
  const Entry& entry = found->second;
  if (entry.lane == v1::Hello::LANE_LIVE) {
    state_.Disconnect(entry.host, entry.connection);
    const auto live = live_.find(entry.host);
    if (live != live_.end() && live->second == id) {
      live_.erase(live);
      before_.erase(entry.host);
    }
  } else if (const auto backlog = backlog_.find(entry.host);
             backlog != backlog_.end() && backlog->second == id) {
    backlog_.erase(backlog);
  }
  streams_.erase(found);
}

void IngestHub::Drain() {
  MutexLock lock(mutex_);
  draining_ = true;
  for (auto& [id, entry] : streams_) {
    entry.client->Close(absl::UnavailableError("the collector is stopping"));
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
