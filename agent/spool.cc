#include "agent/spool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace fleet::agent {
namespace {

absl::Duration WallOffset(SteadyTime now, absl::Time wall) {
  return wall - absl::UnixEpoch() - (now - SteadyTime());
}

}  // namespace

Spool::Spool(SpoolOptions options, FileSystem& files, Clock& clock, BootClock& boot)
    : options_(std::move(options)),
      files_(files),
      clock_(clock),
      boot_(boot),
      prepared_(options_.directory.empty()),
      recovered_(options_.directory.empty()) {
  for (const std::string& name : options_.collectors) collectors_.emplace_back().name = name;
  if (options_.thread) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Loop(stop); });
  }
}

Spool::~Spool() { Close(); }

void Spool::Close() {
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
  {
    MutexLock lock(mutex_);
    CloseCurrent();
    if (std::exchange(closing_, true)) return;
  }
  while (Work()) {
  }
  MutexLock lock(mutex_);
  uint64_t lost = 0;
  for (const SpoolSegmentPtr& segment : shelf_.segments()) {
    uint64_t safe = segment->synced_reports;
    for (const SpoolSegment::Reader& reader : segment->readers) {
      safe = std::max(safe, reader.acked);
    }
    lost += segment->reports - std::min(segment->reports, safe);
  }
  if (lost == 0) return;
  log::Warning("reports that no disk has and no collector acknowledged end with the agent",
               {{"lost_reports", lost}, {"directory", options_.directory}});
}

void Spool::SetWake(size_t collector, std::function<void(absl::Duration)> wake) {
  MutexLock lock(mutex_);
  collectors_[collector].wake = std::move(wake);
}

void Spool::Add(const Report& report) {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  const absl::Time wall = clock_.Now();
  if (current_ != nullptr && MustClose(now, wall)) CloseCurrent();
  if (current_ == nullptr) StartSegment(now, wall);
  if (const absl::Status status = encoder_->Append(report, current_->tail); !status.ok()) {
    ++dropped_reports_;
    log::Warning("report dropped", {{"check", report.check}, {"error", status}});
    return;
  }
  current_->bytes = encoder_->bytes();
  current_->reports = encoder_->next_index();
  const auto [newest, first] = newest_.try_emplace(report.check);
  const bool urgent =
      first || newest->second.verdict != report.verdict || newest->second.absent != report.absent;
  newest->second = {report.verdict, report.absent, current_->id.number};
  EnforceMemory();

  const SteadyTime due = urgent ? now : SteadyAfter(now, kLinger);
  WakeLive(now, due);
  if (options_.directory.empty() || (write_due_.has_value() && *write_due_ <= due)) return;
  write_due_ = due;
  // With a live stream the worker is told when that takes the batch: one wake-up less.
  if (std::none_of(collectors_.begin(), collectors_.end(),
                   [](const Collector& collector) { return collector.live.open; })) {
    NotifyWorker();
  }
}

void Spool::NotifyWorker() {
  changed_ = true;
  condition_.notify_all();
}

void Spool::WakeLive(SteadyTime now, SteadyTime due) {
  for (Collector& collector : collectors_) {
    Live& live = collector.live;
    if (!live.open || (live.due.has_value() && *live.due <= due)) continue;
    live.due = due;
    if (options_.flushed && due > now) continue;
    if (collector.wake) collector.wake(due - now);
  }
}

void Spool::Flush() {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  for (Collector& collector : collectors_) {
    Live& live = collector.live;
    if (!live.open || !live.due.has_value() || !options_.flushed) continue;
    live.due = now;
    if (collector.wake) collector.wake(absl::ZeroDuration());
  }
}

bool Spool::MustClose(SteadyTime now, absl::Time wall) const {
  const size_t bytes_max =
      options_.directory.empty() || failing_ ? kMemorySegmentBytes : kSegmentBytesMax;
  const absl::Duration step = WallOffset(now, wall) - wall_offset_;
  return current_->bytes >= bytes_max || now - current_->born >= kSegmentAgeMax ||
         absl::AbsDuration(step) > kClockStep;
}

void Spool::StartSegment(SteadyTime now, absl::Time wall) {
  current_ = std::make_shared<SpoolSegment>();
  current_->id = {options_.epoch, next_number_++};
  current_->name.epoch = current_->id.epoch;
  current_->name.number = current_->id.number;
  current_->name.boot = boot_.id();
  current_->name.created_uptime = absl::Floor(boot_.Uptime(), absl::Milliseconds(1));
  current_->born = now;
  current_->readers.resize(collectors_.size());
  encoder_.emplace(current_->id, wall);
  current_->created = encoder_->created();
  wall_offset_ = WallOffset(now, wall);
  shelf_.Add(current_);
  active_.push_back(current_);
  SkipLaggards(current_);
  EnforceBounds();
}

void Spool::CloseCurrent() {
  if (current_ == nullptr) return;
  const SpoolSegmentPtr segment = std::exchange(current_, nullptr);
  encoder_.reset();
  if (segment->reports == 0) {
    --next_number_;  // nobody ever heard of it
    Retire(segment);
    return;
  }
  segment->closed = true;
  if (segment->done()) {
    Retire(segment);
  } else {
    NoteAcks(*segment);
    Settle(segment);
  }
}

void Spool::NoteAcks(const SpoolSegment& segment) {
  if (options_.directory.empty() || acks_due_.has_value() || !segment.closed || !segment.scanned) {
    return;
  }
  if (std::any_of(segment.readers.begin(), segment.readers.end(),
                  [&segment](const auto& reader) { return reader.acked >= segment.reports; })) {
    acks_due_ = SteadyAfter(clock_.SteadyNow(), kAcksInterval);
    NotifyWorker();
  }
}

absl::Duration Spool::AgeOf(const SpoolSegment& segment) const {
  const absl::Duration age = segment.name.boot == boot_.id()
                                 ? boot_.Uptime() - segment.name.created_uptime
                                 : clock_.Now() - segment.created;
  return std::max(age, absl::ZeroDuration());
}

void Spool::EnforceBounds() {
  // Before everything found was read nobody knows how much would be lost.
  if (!recovered_) return;
  uint64_t bytes = shelf_.bytes();
  while (!shelf_.segments().empty() && shelf_.segments().front()->closed) {
    const SpoolSegmentPtr oldest = shelf_.segments().front();
    if (bytes > options_.bytes_max) {
      bytes -= oldest->bytes;
      Drop(oldest, "max_bytes");
    } else if (shelf_.size() > options_.segments_max) {
      Drop(oldest, "number of segments");
    } else if (AgeOf(*oldest) > options_.age_max) {
      Drop(oldest, "max_age");
    } else {
      break;
    }
  }
  if (shelf_.size() <= 1) dropping_ = false;
}

void Spool::EnforceMemory() {
  size_t bytes = 0;
  for (const SpoolSegmentPtr& segment : active_) bytes += segment->tail.size();
  if (bytes <= kMemoryBytesMax) return;
  const std::vector<SpoolSegmentPtr> active = active_;
  for (const SpoolSegmentPtr& segment : active) {
    if (bytes <= kMemoryBytesMax) return;
    if (!segment->closed || segment->busy || segment->tail.empty()) continue;
    bytes -= segment->tail.size();
    if (segment->file_reports == 0) {
      Drop(segment, "memory");
      continue;
    }
    // What the file is known to hold stays.
    CutTo(*segment, segment->file_reports, segment->file_bytes);
    segment->broken = false;
    if (segment->done()) {
      Retire(segment);
    } else {
      Settle(segment);
    }
  }
}

void Spool::CutTo(SpoolSegment& segment, uint64_t reports, uint64_t bytes) {
  const uint64_t kept = std::max(reports, segment.acked_by_all());
  dropped_reports_ += segment.reports - std::min(kept, segment.reports);
  segment.reports = segment.file_reports = reports;
  segment.bytes = segment.file_bytes = bytes;
  segment.synced_bytes = std::min(segment.synced_bytes, bytes);
  segment.synced_reports = std::min(segment.synced_reports, reports);
  segment.tail.clear();
  segment.tail.shrink_to_fit();
  segment.tail_offset = bytes;
  segment.tail_index = reports;
}

void Spool::Drop(const SpoolSegmentPtr& segment, absl::string_view bound) {
  dropped_reports_ += segment->reports - segment->acked_by_all();
  if (!std::exchange(dropping_, true)) {
    log::Warning("the spool is full and drops its oldest reports", {{"bound", bound}});
  }
  Retire(segment);
}

void Spool::Retire(const SpoolSegmentPtr& segment) {
  shelf_.Remove(segment);
  active_.erase(std::remove(active_.begin(), active_.end(), segment), active_.end());
  segment->file.reset();
  if (segment->has_file) {
    to_remove_.push_back(PathOf(*segment));
    NotifyWorker();
  }
}

void Spool::Trim(SpoolSegment& segment) {
  if (options_.directory.empty() || segment.broken || segment.busy) return;
  if (!segment.closed && clock_.SteadyNow() - segment.born < kLiveStartAge) return;
  uint64_t limit = segment.file_bytes;
  for (const Collector& collector : collectors_) {
    const Live& live = collector.live;
    if (live.open && live.segment.get() == &segment) limit = std::min(limit, live.offset);
  }
  const uint64_t acked = segment.acked_by_all();
  segment.TrimTail(limit, [&](uint64_t index, uint64_t end) {
    return end <= segment.synced_bytes || index < acked;
  });
}

void Spool::Settle(const SpoolSegmentPtr& segment) {
  Trim(*segment);
  if (!segment->closed || segment->broken || segment->busy || !segment->tail.empty() ||
      segment->synced_bytes < segment->bytes) {
    return;
  }
  segment->file.reset();
  active_.erase(std::remove(active_.begin(), active_.end(), segment), active_.end());
}

std::vector<Spool::Closed> Spool::ClosedSegments() const {
  MutexLock lock(mutex_);
  std::vector<Closed> closed;
  closed.reserve(shelf_.size());
  for (const SpoolSegmentPtr& segment : shelf_.segments()) {
    if (!segment->closed) continue;
    closed.push_back({segment->id, segment->scanned ? segment->reports : kReportsUnknown});
  }
  return closed;
}

bool Spool::pending() const {
  MutexLock lock(mutex_);
  return !prepared_;
}

Spool::Stats Spool::stats(size_t collector) const {
  MutexLock lock(mutex_);
  Stats stats;
  for (const SpoolSegmentPtr& segment : shelf_.segments()) {
    ++stats.segments;
    stats.bytes += segment->bytes;
    if (segment->waits_for(collector)) {
      stats.reports += segment->reports - segment->readers[collector].acked;
    }
  }
  if (!shelf_.segments().empty()) stats.oldest_age = AgeOf(*shelf_.segments().front());
  stats.dropped_reports = dropped_reports_;
  stats.damaged_bytes = damaged_bytes_;
  return stats;
}

std::pair<SegmentId, uint64_t> Spool::Newest() const {
  MutexLock lock(mutex_);
  return {encoder_->id(), encoder_->next_index() - 1};
}

uint64_t Spool::SyncedReports(const SegmentId& id) const {
  MutexLock lock(mutex_);
  const SpoolSegmentPtr segment = shelf_.Find(id);
  return segment == nullptr ? 0 : segment->synced_reports;
}

}  // namespace fleet::agent
