#include "collector/remote_write/host_feed.h"

#include <algorithm>

#include "collector/staleness.h"
#include "common/log.h"
#include "common/probe/look_report.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

// Tables of which it is remembered until when the receiver has them.
constexpr size_t kTablesKept = 1024;
// What cannot be read now is tried again after this, and told of as often.
constexpr absl::Duration kReadAgainAfter = absl::Seconds(1);
constexpr absl::Duration kWarnEvery = absl::Minutes(10);
// A disk that has refused one place for so long does not give it back.
constexpr absl::Duration kReadPatience = absl::Minutes(10);

/// Whether what a segment had is gone, and not only out of reach, after a read that has failed
/// `for_so_long`. A process that has no descriptor or no memory left may get it back at any time.
bool IsForGood(const absl::Status& status, absl::Duration for_so_long) {
  if (absl::IsResourceExhausted(status)) return false;
  return absl::IsNotFound(status) || absl::IsDataLoss(status) || absl::IsInvalidArgument(status) ||
         for_so_long >= kReadPatience;
}

}  // namespace

HostFeed::HostFeed(const SegmentSource& source, SeriesContext& context, const Clock& clock,
                   std::string host, SteadyTime started)
    : source_(source),
      context_(context),
      clock_(clock),
      host_(std::move(host)),
      started_(started),
      timeline_(context) {}

void HostFeed::Restore(const CursorEntry& entry) {
  Segment& segment = segments_[entry.id];
  segment.next = entry.next;
  segment.reports = std::max(entry.reports, entry.next);
  restored_ = true;
}

void HostFeed::Refresh(absl::Time not_before) {
  for (auto& [id, segment] : segments_) segment.listed = false;
  order_.clear();
  for (const StoredSegment& stored : source_.Segments(host_)) {
    const auto [entry, added] = segments_.try_emplace(stored.id);
    Segment& segment = entry->second;
    segment.created = stored.created;
    segment.offset = stored.offset;
    // After a crash the journal may hold less than it did, and what it lists is all there is.
    const bool shrunk = stored.reports < segment.reports;
    const uint64_t unsent = Unsent(stored.id, segment);
    segment.reports = stored.reports;
    if (shrunk) losses_.reports += unsent - Unsent(stored.id, segment);
    segment.dirty = segment.dirty || shrunk;
    segment.listed = true;
    if (added && stored.created < not_before) {
      segment.next = segment.reports;
      segment.dirty = segment.skipped = true;
    }
    order_.emplace_back(stored.created, stored.id);
  }
  std::sort(order_.begin(), order_.end());
  DropGone();
}

void HostFeed::DropGone() {
  for (auto at = segments_.begin(); at != segments_.end();) {
    const auto& [id, segment] = *at;
    if (segment.listed) {
      ++at;
      continue;
    }
    losses_.reports += Unsent(id, segment);  // a batch under way still arrives
    gone_.push_back({host_, id, segment.next, segment.reports});
    if (reader_.has_value() && reader_->id() == id) Unload();
    sent_.erase(id);
    at = segments_.erase(at);
  }
}

uint64_t HostFeed::NextOf(const SegmentId& id, const Segment& segment) const {
  const auto sent = sent_.find(id);
  return sent == sent_.end() ? segment.next : sent->second.next;
}

uint64_t HostFeed::Unsent(const SegmentId& id, const Segment& segment) const {
  const uint64_t next = NextOf(id, segment);
  return segment.reports - std::min(segment.reports, next);
}

bool HostFeed::CaughtUp() const {
  return std::all_of(segments_.begin(), segments_.end(), [this](const auto& entry) {
    return NextOf(entry.first, entry.second) >= entry.second.reports;
  });
}

bool HostFeed::Waits(absl::Time now) const {
  // A wait that is longer than any comes of a clock that was set back: what is held is judged anew.
  return now < wait_until_ && wait_until_ <= now + kAheadMax;
}

bool HostFeed::HasListened() const {
  // Just after a start nobody is silent yet: agents are still connecting.
  return clock_.SteadyNow() - started_ >= FreshFor(absl::ZeroDuration());
}

HostFeed::Segment* HostFeed::Pick(absl::Time now, SegmentId& id) {
  for (const auto& [created, key] : order_) {
    Segment& segment = segments_[key];
    if (NextOf(key, segment) >= segment.reports) continue;
    id = key;
    if (!source_.AwaitsOlder(host_, created)) {
      awaiting_since_ = absl::InfiniteFuture();
      return &segment;
    }
    awaiting_since_ = std::min(awaiting_since_, now);
    return now - awaiting_since_ < kAwaitOlderMax ? nullptr : &segment;
  }
  return nullptr;
}

void HostFeed::Unload() {
  reader_.reset();
  held_.reset();
  wait_until_ = absl::InfinitePast();
  timeline_.Reset();
}

void HostFeed::Failed(const SegmentId& id, Segment& segment, const absl::Status& why,
                      absl::Time now) {
  const SteadyTime at = clock_.SteadyNow();
  if (!failing_since_.has_value()) failing_since_ = at;
  const bool for_good = IsForGood(why, at - *failing_since_);
  if (for_good || absl::AbsDuration(now - warned_) >= kWarnEvery) {
    log::Warning("remote-write cannot read a segment", {{"host", host_}, {"error", why}});
    if (!for_good) warned_ = now;
  }
  Unload();
  if (for_good) {
    // What retention took leaves the list by itself; a damaged rest is given up here.
    losses_.reports += Unsent(id, segment);
    sent_[id] = {std::max(segment.reports, NextOf(id, segment)), segment.reached};
    failing_since_.reset();
  } else {
    wait_until_ = now + kReadAgainAfter;
  }
}

void HostFeed::TakeReport(const DecodedReport& report, const Segment& segment, Batch* batch) {
  timeline_.Take(
      report, report.start + segment.offset,
      [this](const SeriesTable& table) {
        const auto found = taken_until_.find(&table);
        return found == taken_until_.end() ? INT64_MIN : found->second;
      },
      batch);
}

/// Reads what was sent of `id` before, so that what ends after it is known to end.
absl::Status HostFeed::Warm(const SegmentId& id, const Segment& segment) {
  while (reader_->next_index() < NextOf(id, segment)) {
    FLEET_ASSIGN_OR_RETURN(const bool got, reader_->Next([&](const DecodedReport& report) {
      TakeReport(report, segment, nullptr);
    }));
    if (!got) return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status HostFeed::Load(const SegmentId& id, const Segment& segment) {
  const auto at = std::find(order_.begin(), order_.end(), Key{segment.created, id});
  const SegmentId* const before = at == order_.begin() ? nullptr : &std::prev(at)->second;
  const bool continues = reader_.has_value() && before != nullptr && reader_->id() == *before;
  if (!continues) {
    Unload();
    if (before != nullptr && !segments_[*before].skipped) {
      reader_.emplace(source_, context_.layouts, host_, *before);
      // Without it only a stale marker may be missing, which holds nothing up.
      if (!Warm(*before, segments_[*before]).ok()) timeline_.Reset();
    }
  }
  held_.reset();
  reader_.emplace(source_, context_.layouts, host_, id);
  FLEET_RETURN_IF_ERROR(Warm(id, segment));
  restored_ = false;
  return absl::OkStatus();
}

void HostFeed::ReadSent(absl::Time now) {
  restored_ = false;
  if (order_.empty()) return;
  const auto& [created, id] = order_.back();
  Segment& segment = segments_[id];
  if (segment.skipped || created + kSegmentAgeMax + kEndLateMax < now) return;
  if (const absl::Status loaded = Load(id, segment); !loaded.ok()) {
    Failed(id, segment, loaded, now);
    restored_ = failing_since_.has_value();
  } else if (timeline_.silent_at() + kEndLateMax < now) {
    Unload();
  }
}

absl::Status HostFeed::Fill(const SegmentId& id, Segment& segment, absl::Time now,
                            size_t samples_max, Batch& batch) {
  if (!reader_.has_value() || reader_->id() != id) FLEET_RETURN_IF_ERROR(Load(id, segment));
  // What was sent and the journal had lost may have come to it again.
  FLEET_RETURN_IF_ERROR(Warm(id, segment));
  while (batch.samples() < samples_max) {
    if (!held_.has_value()) {
      if (reader_->next_index() >= segment.reports || reader_->next_index() < NextOf(id, segment)) {
        break;
      }
      FLEET_ASSIGN_OR_RETURN(const bool got, reader_->Next([this](const DecodedReport& report) {
        held_ = Held{report, std::string(report.check)};
        held_->report.check = held_->check;
      }));
      if (!got) break;
    }
    held_->report.check = held_->check;
    const DecodedReport& report = held_->report;
    const absl::Time start = report.start + segment.offset;
    if (probe::IsLook(report.check)) {
      // The timeline takes nothing of it, so nothing of it can be lost or wait.
    } else if (start > now + kAheadMax) {
      losses_.samples_future += report.layout->size();
    } else if (start > now) {
      wait_until_ = start;
      return absl::OkStatus();
    } else {
      TakeReport(report, segment, &batch);
    }
    sent_[id] = {report.index + 1, start};
    failing_since_.reset();
    held_.reset();
    wait_until_ = absl::InfinitePast();
  }
  return absl::OkStatus();
}

Batch HostFeed::Next(absl::Time now, size_t samples_max) {
  Batch batch;
  SegmentId id;
  while (batch.samples() < samples_max && !Waits(now)) {
    Segment* const segment = Pick(now, id);
    if (segment == nullptr) break;
    const uint64_t before = NextOf(id, *segment);
    const absl::Status filled = Fill(id, *segment, now, samples_max, batch);
    if (!filled.ok()) {
      Failed(id, *segment, filled, now);
    } else if (NextOf(id, *segment) == before) {
      break;  // held back
    }
  }
  if (OwesEnds() && !Waits(now) && CaughtUp()) ReadSent(now);
  if (timeline_.silent_at() <= now && HasListened() && CaughtUp()) timeline_.Expire(now, batch);
  if (batch.samples() == 0) Commit(batch);
  return batch;
}

void HostFeed::Commit(const Batch& batch) {
  for (const auto& [id, sent] : sent_) {
    const auto found = segments_.find(id);
    if (found == segments_.end()) continue;
    Segment& segment = found->second;
    segment.dirty = segment.dirty || segment.next != sent.next;
    segment.next = sent.next;
    segment.reached = sent.reached;
  }
  sent_.clear();
  if (taken_until_.size() > kTablesKept) taken_until_.clear();
  batch.VisitTables([this](const std::shared_ptr<const SeriesTable>& table, int64_t time_ms) {
    int64_t& until = taken_until_.try_emplace(table, INT64_MIN).first->second;
    until = std::max(until, time_ms);
  });
}

bool HostFeed::HasWork(absl::Time now) const {
  if (Waits(now)) return false;
  return pending_segments() > 0 || timeline_.silent_at() <= now || OwesEnds();
}

void HostFeed::TakeChanges(std::vector<CursorEntry>& changed, std::vector<CursorEntry>& gone) {
  for (auto& [id, segment] : segments_) {
    if (!segment.dirty) continue;
    segment.dirty = false;
    changed.push_back({host_, id, segment.next, segment.reports});
  }
  gone.insert(gone.end(), gone_.begin(), gone_.end());
  gone_.clear();
}

void HostFeed::MarkChanged(const SegmentId& id) {
  const auto found = segments_.find(id);
  if (found != segments_.end()) found->second.dirty = true;
}

size_t HostFeed::pending_segments() const {
  return static_cast<size_t>(
      std::count_if(segments_.begin(), segments_.end(),
                    [](const auto& entry) { return entry.second.next < entry.second.reports; }));
}

absl::Time HostFeed::oldest_pending() const {
  for (const auto& [created, id] : order_) {
    const Segment& segment = segments_.at(id);
    if (segment.next < segment.reports) return std::max(created, segment.reached);
  }
  return absl::InfiniteFuture();
}

}  // namespace fleet::collector
