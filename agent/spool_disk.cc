// What the spool does with its disk: one thing at a time, the lock let go meanwhile.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/spool.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::agent {

void Spool::Loop(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (Work()) continue;
    MutexLock lock(mutex_);
    clock_.WaitUntil(mutex_, condition_, stop, NextDue(),
                     [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changed_; });
    changed_ = false;
  }
}

bool Spool::Work() {
  Job job;
  {
    MutexLock lock(mutex_);
    job = NextJob(clock_.SteadyNow());
  }
  if (job == nullptr) return false;
  job();
  return true;
}

SteadyTime Spool::NextDue() const {
  SteadyTime due = SteadyTime::max();
  for (const std::optional<SteadyTime>& at : {write_due_, sync_due_, acks_due_}) {
    if (at.has_value()) due = std::min(due, *at);
  }
  // While the disk fails, everything waits for the next try.
  return failing_ && retry_at_ > clock_.SteadyNow() ? retry_at_ : due;
}

Spool::Job Spool::NextJob(SteadyTime now) {
  for (size_t c = 0; c < collectors_.size() && !closing_; ++c) {
    if (Job job = ReadBacklogJob(c)) return job;
  }
  if (options_.directory.empty()) return nullptr;
  if (closing_ && failing_) return RemoveJob();
  if (failing_ && now < retry_at_) return RemoveJob();
  if (!prepared_) return [this] { Prepare(); };
  if (Job job = RemoveJob()) return job;
  if (Job job = RewriteJob()) return job;
  if (Job job = WriteJob(now)) return job;
  if (Job job = SyncJob(now)) return job;
  if (Job job = closing_ ? nullptr : ScanJob()) return job;
  return AcksJob(now);
}

std::string Spool::PathOf(const SpoolSegment& segment) const {
  return absl::StrCat(options_.directory, "/", FormatSpoolFileName(segment.name));
}

void Spool::Failed(const absl::Status& status) {
  retry_at_ = SteadyAfter(clock_.SteadyNow(), kRetryInterval);
  if (std::exchange(failing_, true)) return;
  log::Warning("the spool cannot write and keeps reports in memory",
               {{"directory", options_.directory}, {"error", status}});
}

void Spool::Worked() {
  if (!std::exchange(failing_, false)) return;
  log::Info("the spool writes again", {{"directory", options_.directory}});
}

Spool::Job Spool::RemoveJob() {
  if (to_remove_.empty()) return nullptr;
  std::vector<std::string> paths = std::exchange(to_remove_, {});
  return [this, paths = std::move(paths)] {
    for (const std::string& path : paths) {
      const absl::Status status = files_.Remove(path);
      // What stays is found at the next start, and every collector has it.
      if (status.ok() || absl::IsNotFound(status)) continue;
      log::Warning("a file of the spool cannot be removed", {{"error", status}});
    }
  };
}

Spool::Job Spool::WriteJob(SteadyTime now) {
  const bool due = closing_ || !write_due_.has_value() || *write_due_ <= now;
  SpoolSegmentPtr segment;
  for (const SpoolSegmentPtr& one : active_) {
    if (one->broken || one->file_bytes >= one->bytes || (!due && !one->closed)) continue;
    segment = one;
    break;
  }
  if (segment == nullptr) {
    if (due) write_due_.reset();
    return nullptr;
  }
  if (!segment->has_file) segment->name.sequence = next_sequence_++;
  std::string bytes = segment->tail.substr(segment->file_bytes - segment->tail_offset);
  segment->busy = true;
  return [this, segment, bytes = std::move(bytes), reports = segment->reports,
          path = PathOf(*segment)] {
    absl::Status status;
    std::shared_ptr<AppendFile> file = segment->file;
    if (file == nullptr) {
      absl::StatusOr<std::unique_ptr<AppendFile>> created = files_.Create(path);
      status = created.status();
      if (created.ok()) file = *std::move(created);
    }
    if (status.ok()) status = file->Append(bytes);
    MutexLock lock(mutex_);
    segment->busy = false;
    if (file != nullptr) segment->has_file = true;
    if (segment->gone) {
      if (segment->has_file) to_remove_.push_back(path);
      return;
    }
    if (!status.ok()) {
      // What stands in the file behind file_bytes is anybody's guess.
      segment->broken = true;
      segment->file.reset();
      if (segment == current_) CloseCurrent();
      return Failed(status);
    }
    Worked();
    segment->file = std::move(file);
    segment->file_bytes += bytes.size();
    segment->file_reports = reports;
    const SteadyTime sync_at = SteadyAfter(clock_.SteadyNow(), kSyncInterval);
    if (!sync_due_.has_value()) sync_due_ = sync_at;
    Settle(segment);
  };
}

Spool::Job Spool::SyncJob(SteadyTime now) {
  if (!sync_due_.has_value() || (*sync_due_ > now && !closing_)) return nullptr;
  SpoolSegmentPtr segment;
  for (const SpoolSegmentPtr& one : active_) {
    // What everybody has need not be on the disk; what was added since is not in the file yet.
    if (one->broken || one->file == nullptr || one->synced_bytes >= one->file_bytes ||
        one->acked_by_all() >= one->file_reports) {
      continue;
    }
    segment = one;
    break;
  }
  if (segment == nullptr) {
    sync_due_.reset();
    return nullptr;
  }
  segment->busy = true;
  return [this, segment, file = segment->file, bytes = segment->file_bytes,
          reports = segment->file_reports, named = segment->named] {
    absl::Status status = file->Sync();
    if (status.ok() && !named) status = files_.SyncDirectory(options_.directory);
    MutexLock lock(mutex_);
    segment->busy = false;
    if (segment->gone) {
      to_remove_.push_back(PathOf(*segment));
      return;
    }
    if (!status.ok()) {
      // The kernel has forgotten what it could not write: only what was synced before counts.
      segment->broken = true;
      segment->file.reset();
      segment->file_bytes = segment->synced_bytes;
      segment->file_reports = segment->synced_reports;
      if (segment == current_) CloseCurrent();
      return Failed(status);
    }
    segment->named = true;
    segment->synced_bytes = bytes;
    segment->synced_reports = reports;
    Settle(segment);
  };
}

Spool::Job Spool::RewriteJob() {
  SpoolSegmentPtr segment;
  for (const SpoolSegmentPtr& one : active_) {
    if (!one->broken) continue;
    segment = one;
    break;
  }
  if (segment == nullptr) return nullptr;
  segment->busy = true;
  return [this, segment, tail = segment->tail, prefix = segment->tail_offset,
          path = PathOf(*segment)] {
    // The start that is no longer in memory was synced, or everybody has it and only the decoder
    // needs it; the checksums tell whether it is still there.
    std::string bytes;
    absl::Status status;
    if (prefix > 0) {
      absl::StatusOr<std::string> read = files_.Read(path, 0, prefix);
      status = read.status();
      if (read.ok()) bytes = *std::move(read);
    }
    bytes += tail;
    const ScanResult scan = ScanSegment(bytes);
    bytes.resize(scan.good_bytes);
    if (status.ok() && scan.reports > 0) status = WriteWhole(files_, path, bytes);
    MutexLock lock(mutex_);
    segment->busy = false;
    if (status.ok() && scan.reports > 0) segment->has_file = true;
    if (segment->gone) {
      if (segment->has_file) to_remove_.push_back(path);
      return;
    }
    if (!status.ok()) return Failed(status);
    Worked();
    if (scan.reports < segment->reports) {
      log::Warning("reports of the spool are lost",
                   {{"file", path}, {"reports", segment->reports - scan.reports}});
      CutTo(*segment, scan.reports, scan.good_bytes);
    }
    segment->broken = false;
    segment->named = true;
    segment->file_reports = segment->synced_reports = scan.reports;
    segment->file_bytes = segment->synced_bytes = scan.good_bytes;
    if (segment->done()) {
      Retire(segment);
    } else {
      Settle(segment);
    }
  };
}

Spool::Job Spool::AcksJob(SteadyTime now) {
  if (!acks_due_.has_value() || (*acks_due_ > now && !closing_)) return nullptr;
  acks_due_.reset();
  std::vector<SpoolAck> acks;
  for (const SpoolSegmentPtr& segment : shelf_.segments()) {
    for (size_t c = 0; c < collectors_.size(); ++c) {
      const uint64_t whole = segment->scanned ? segment->reports : kReportsUnknown;
      if (!segment->closed || segment->readers[c].acked < whole) continue;
      acks.push_back({collectors_[c].name, segment->id.epoch, segment->id.number});
    }
  }
  std::string text = FormatSpoolAcks(acks);
  if (text == acks_written_) return nullptr;
  return [this, text = std::move(text)] {
    const absl::Status status =
        WriteWhole(files_, absl::StrCat(options_.directory, "/", kSpoolAcksFile), text);
    MutexLock lock(mutex_);
    // Without it a collector is sent again what it has, and ignores it.
    if (!status.ok()) return Failed(status);
    acks_written_ = text;
  };
}

}  // namespace fleet::agent
