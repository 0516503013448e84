// What the streams take from the spool, and what they give back: acks.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/spool.h"
#include "common/log.h"

namespace fleet::agent {

// ---- live -----------------------------------------------------------------------------------

std::vector<std::string> Spool::OpenLive(size_t collector) {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  if (current_ != nullptr && (now - current_->born > kLiveStartAge || current_->tail_offset > 0)) {
    CloseCurrent();
  }
  Live& live = collectors_[collector].live;
  live = Live();
  live.open = true;
  live.segment = current_;
  if (current_ != nullptr) current_->readers[collector].live = true;
  std::vector<std::string> checks;
  for (const auto& [check, newest] : newest_) {
    if (current_ == nullptr || newest.segment < current_->id.number) checks.push_back(check);
  }
  return checks;
}

void Spool::CloseLive(size_t collector) {
  MutexLock lock(mutex_);
  Live& live = collectors_[collector].live;
  if (!live.open) return;
  live = Live();
  for (const SpoolSegmentPtr& segment : shelf_.segments()) {
    segment->readers[collector].live = false;
  }
  CloseCurrent();
  const std::vector<SpoolSegmentPtr> active = active_;
  for (const SpoolSegmentPtr& segment : active) Settle(segment);
  if (write_due_.has_value()) NotifyWorker();
}

void Spool::SkipLaggards(const SpoolSegmentPtr& newest) {
  for (size_t c = 0; c < collectors_.size(); ++c) {
    Live& live = collectors_[c].live;
    if (!live.open) continue;
    newest->readers[c].live = true;
    if (live.segment == nullptr) {
      live.segment = newest;
      live.offset = live.index = 0;
      continue;
    }
    uint64_t lag = live.segment->bytes - std::min(live.segment->bytes, live.offset);
    const uint64_t from = live.segment->order;
    shelf_.After(from, [&lag](const SpoolSegment& segment) {
      lag += segment.bytes;
      return false;
    });
    if (lag <= kLiveLagBytesMax) continue;
    // The rest is the backlog's.
    shelf_.After(from - 1, [&](const SpoolSegment& segment) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      const SpoolSegmentPtr skipped = shelf_.Find(segment.id);
      if (skipped != newest) skipped->readers[c].live = false;
      return false;
    });
    live.segment = newest;
    live.offset = live.index = 0;
  }
}

void Spool::WriteNow() {
  if (!write_due_.has_value()) return;
  write_due_ = std::min(*write_due_, clock_.SteadyNow());
  NotifyWorker();
}

void Spool::MissLive(size_t collector) {
  MutexLock lock(mutex_);
  Live& live = collectors_[collector].live;
  if (!live.open) return;
  live.due.reset();
  WriteNow();
}

std::optional<Spool::Batch> Spool::TakeLive(size_t collector) {
  MutexLock lock(mutex_);
  Live& live = collectors_[collector].live;
  live.due.reset();
  if (!live.open) return std::nullopt;
  WriteNow();
  while (live.segment != nullptr) {
    const SpoolSegmentPtr segment = live.segment;
    // Cut by a bound, or dropped: what is left of it is the backlog's.
    const bool lost = live.offset > segment->bytes ||
                      (live.offset < segment->bytes && live.offset < segment->tail_offset);
    if (!lost && (live.offset < segment->bytes || segment->closed)) {
      Batch batch;
      batch.segment = segment->id;
      batch.first_index = live.index;
      batch.records = segment->tail.substr(live.offset - segment->tail_offset);
      batch.last = segment->closed;
      if (segment->name.boot == boot_.id()) batch.age = AgeOf(*segment);
      live.offset = segment->bytes;
      live.index = segment->reports;
      if (batch.last) {
        live.segment = shelf_.After(segment->order, [](const SpoolSegment&) { return true; });
        live.offset = live.index = 0;
      }
      if (!segment->gone) Settle(segment);
      return batch;
    }
    if (!lost) return std::nullopt;  // open, and all of it is sent
    segment->readers[collector].live = false;
    live.segment = shelf_.After(segment->order, [](const SpoolSegment&) { return true; });
    live.offset = live.index = 0;
  }
  return std::nullopt;
}

// ---- backlog --------------------------------------------------------------------------------

bool Spool::BacklogWaits(size_t collector) const {
  MutexLock lock(mutex_);
  if (!recovered_) return false;
  return std::any_of(
      shelf_.segments().begin(), shelf_.segments().end(),
      [collector](const SpoolSegmentPtr& segment) { return segment->waits_for(collector); });
}

void Spool::OpenBacklog(size_t collector) {
  MutexLock lock(mutex_);
  Backlog& backlog = collectors_[collector].backlog;
  const SegmentId refused = backlog.refused;
  const int refusals = backlog.refusals;
  backlog = Backlog();
  backlog.refused = refused;
  backlog.refusals = refusals;
  backlog.open = true;
  backlog.window = kChunkBytes;
  NotifyWorker();
}

void Spool::CloseBacklog(size_t collector) {
  MutexLock lock(mutex_);
  Backlog& backlog = collectors_[collector].backlog;
  backlog.open = false;
  backlog.segment = nullptr;
  backlog.ready.reset();
  backlog.flights.clear();
  backlog.in_flight = 0;
}

SpoolSegmentPtr Spool::NextBacklog(size_t collector) const {
  return shelf_.After(collectors_[collector].backlog.passed,
                      [collector](const SpoolSegment& s) { return s.waits_for(collector); });
}

std::optional<Spool::Batch> Spool::TakeBacklog(size_t collector) {
  MutexLock lock(mutex_);
  Backlog& backlog = collectors_[collector].backlog;
  if (!backlog.open || !backlog.ready.has_value()) return std::nullopt;
  const uint64_t bytes = backlog.ready->records.size();
  if (backlog.in_flight > 0 && backlog.in_flight + bytes > backlog.window) return std::nullopt;
  Batch batch = *std::move(backlog.ready);
  backlog.ready.reset();
  backlog.flights.push_back({batch.segment, backlog.index, bytes, clock_.SteadyNow()});
  backlog.in_flight += bytes;
  NotifyWorker();
  return batch;
}

bool Spool::BacklogDone(size_t collector) const {
  MutexLock lock(mutex_);
  const Backlog& backlog = collectors_[collector].backlog;
  return backlog.open && !backlog.ready.has_value() && backlog.flights.empty() &&
         backlog.segment == nullptr && NextBacklog(collector) == nullptr;
}

bool Spool::RefuseBacklog(size_t collector) {
  MutexLock lock(mutex_);
  Backlog& backlog = collectors_[collector].backlog;
  if (backlog.flights.empty()) return false;
  const SegmentId id = backlog.flights.front().id;
  backlog.refusals = id == backlog.refused ? backlog.refusals + 1 : 1;
  backlog.refused = id;
  const SpoolSegmentPtr segment = shelf_.Find(id);
  if (backlog.refusals < kRefusalsMax || segment == nullptr) return false;
  uint64_t& acked = segment->readers[collector].acked;
  dropped_reports_ += segment->reports - std::min(acked, segment->reports);
  acked = segment->reports;
  if (segment->done()) Retire(segment);
  return true;
}

bool Spool::MayRead(size_t collector) const {
  const Backlog& backlog = collectors_[collector].backlog;
  return backlog.open && !backlog.ready.has_value() && backlog.in_flight < backlog.window &&
         (backlog.segment != nullptr || NextBacklog(collector) != nullptr);
}

Spool::Job Spool::ReadBacklogJob(size_t collector) {
  if (!MayRead(collector)) return nullptr;
  Backlog& backlog = collectors_[collector].backlog;
  if (backlog.segment == nullptr || backlog.segment->gone) {
    backlog.segment = NextBacklog(collector);
    backlog.offset = backlog.index = 0;
    if (backlog.segment == nullptr) {
      if (collectors_[collector].wake) collectors_[collector].wake(absl::ZeroDuration());
      return nullptr;
    }
  }
  const SpoolSegmentPtr segment = backlog.segment;
  const uint64_t offset = backlog.offset;
  if (offset >= segment->tail_offset && !segment->tail.empty()) {
    std::string bytes = segment->tail.substr(offset - segment->tail_offset);
    return [this, collector, segment, bytes = std::move(bytes)] {
      FinishRead(collector, segment, bytes);
    };
  }
  // Beyond the start of the tail the file may hold less than it should.
  const uint64_t end = segment->tail.empty() ? segment->bytes : segment->tail_offset;
  return [this, collector, segment, offset, end, path = PathOf(*segment)] {
    // A chunk, or more when its first record is longer.
    absl::StatusOr<std::string> bytes;
    for (size_t size = kChunkBytes;; size *= 2) {
      bytes = files_.Read(path, offset, std::min<uint64_t>(size, end - offset));
      if (!bytes.ok() || bytes->size() < size || size > SegmentLimits().record_bytes ||
          RecordBytes(*bytes, offset == 0) > 0) {
        break;
      }
    }
    FinishRead(collector, segment, bytes);
  };
}

void Spool::FinishRead(size_t collector, const SpoolSegmentPtr& segment,
                       const absl::StatusOr<std::string>& bytes) {
  MutexLock lock(mutex_);
  Backlog& backlog = collectors_[collector].backlog;
  if (!backlog.open || backlog.segment != segment) return;  // of a stream that is gone
  if (segment->gone) {
    backlog.segment = nullptr;
    return;
  }
  if (!bytes.ok()) {
    // Perhaps the next stream has more luck.
    if (!std::exchange(segment->unreadable, true)) {
      log::Warning("a segment of the spool cannot be read",
                   {{"file", PathOf(*segment)}, {"error", bytes.status()}});
    }
    backlog.passed = segment->order;
    backlog.segment = nullptr;
    NotifyWorker();
    return;
  }
  const WholeRecords whole = TakeWholeRecords(*bytes, segment->id, backlog.index,
                                              std::min<uint64_t>(kChunkBytes, backlog.window));
  if (whole.damaged || whole.reports == 0) {
    // The disk has not kept what it had: the segment ends here.
    const uint64_t end = backlog.index + whole.reports;
    log::Warning("a segment of the spool is damaged",
                 {{"file", PathOf(*segment)}, {"lost_reports", segment->reports - end}});
    damaged_bytes_ += segment->bytes - (backlog.offset + whole.bytes);
    CutTo(*segment, end, backlog.offset + whole.bytes);
    if (end == 0 || segment->done()) {
      Retire(segment);
      backlog.segment = nullptr;
      return;
    }
  }
  Batch batch;
  batch.segment = segment->id;
  batch.first_index = backlog.index;
  batch.records = bytes->substr(0, whole.bytes);
  if (segment->name.boot == boot_.id()) batch.age = AgeOf(*segment);
  backlog.index += whole.reports;
  backlog.offset += whole.bytes;
  batch.last = backlog.index >= segment->reports;
  if (batch.last) {
    backlog.passed = segment->order;
    backlog.segment = nullptr;
  }
  backlog.ready = std::move(batch);
  if (collectors_[collector].wake) collectors_[collector].wake(absl::ZeroDuration());
}

// ---- acks -----------------------------------------------------------------------------------

void Spool::LandFlights(Collector& collector, const SegmentId& id, uint64_t next_index) {
  Backlog& backlog = collector.backlog;
  const SteadyTime now = clock_.SteadyNow();
  for (auto flight = backlog.flights.begin(); flight != backlog.flights.end();) {
    if (flight->id != id || flight->end_index > next_index) {
      ++flight;
      continue;
    }
    const absl::Duration took = now - flight->sent;
    backlog.window = took <= kAckTime
                         ? std::min<uint64_t>(backlog.window + flight->bytes, kUnackedBytesMax)
                         : std::max<uint64_t>(backlog.window / 2, kWindowMin);
    backlog.in_flight -= flight->bytes;
    flight = backlog.flights.erase(flight);
    NotifyWorker();
  }
  if (backlog.open && backlog.ready.has_value() && collector.wake) {
    collector.wake(absl::ZeroDuration());
  }
}

void Spool::Ack(size_t collector, const SegmentId& id, uint64_t next_index) {
  MutexLock lock(mutex_);
  LandFlights(collectors_[collector], id, next_index);
  const SpoolSegmentPtr segment = shelf_.Find(id);
  if (segment == nullptr) return;
  SpoolSegment::Reader& reader = segment->readers[collector];
  // Nobody can have more than there is; how much that is turns out when the file is read.
  const uint64_t most = segment->scanned ? segment->reports : kReportsUnknown;
  reader.acked = std::max(reader.acked, std::min(next_index, most));
  if (segment->done()) {
    Retire(segment);
    return;
  }
  NoteAcks(*segment);
  Settle(segment);
}

}  // namespace fleet::agent
