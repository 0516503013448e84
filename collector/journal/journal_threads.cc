// The journal's two threads: one commits groups to the log, one keeps the files.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/journal/catalog.h"
#include "collector/journal/journal.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {

/// The next moment at which a sync may start, at `earliest` at the soonest: all syncs together keep
/// the pace of the groups.
SteadyTime Journal::Reserve(SteadyTime earliest) {
  const SteadyTime slot = std::max(earliest, next_sync_);
  next_sync_ = SteadyAfter(slot, options_.group_interval);
  return slot;
}

/// Notes that the disk refuses, or with an OK status that it works again. Logs the changes.
void Journal::SetTrouble(std::optional<std::string> Journal::*which, const absl::Status& status) {
  bool began = false;
  bool ended = false;
  {
    MutexLock lock(mutex_);
    const auto any = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return log_trouble_.has_value() || file_trouble_.has_value() || upkeep_trouble_.has_value();
    };
    const bool before = any();
    if (status.ok()) {
      (this->*which).reset();
    } else {
      ++write_errors_;
      this->*which = std::string(status.message());
    }
    began = !before && any();
    ended = before && !any();
    if (began) trouble_since_ = clock_.SteadyNow();
  }
  if (began) log::Error("the journal's disk refuses to write", {{"error", status}});
  if (ended) log::Info("the journal's disk writes again");
  if (status.ok()) WakeWaiting();
}

// ---- committing -----------------------------------------------------------------------------

bool Journal::TakeGroup(const std::stop_token& stop, Group& group) {
  MutexLock lock(mutex_);
  const auto any = [this]()
                       ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !queue_.waiters.empty(); };
  while (!any() && !stop.stop_requested()) {
    clock_.WaitUntil(mutex_, changed_, stop, SteadyAfter(clock_.SteadyNow(), absl::Hours(1)), any);
  }
  if (!any()) return false;
  const SteadyTime slot = Reserve(SteadyAfter(queue_.first, options_.group_interval));
  clock_.WaitUntil(mutex_, changed_, stop, slot, [] { return false; });
  group = std::exchange(queue_, Group());
  committing_ = true;
  went_round_ = clock_.SteadyNow();
  return true;
}

absl::Status Journal::CommitGroup(Group& group) {
  // A group of repeats alone waits for what the last one wrote, and that is done.
  if (group.entries.empty()) return absl::OkStatus();
  const SteadyTime start = clock_.SteadyNow();
  const absl::StatusOr<uint64_t> log = log_.Commit(group.entries, start);
  SetTrouble(&Journal::log_trouble_, log.status());
  FLEET_RETURN_IF_ERROR(log.status());
  group.log = *log;
  MutexLock lock(mutex_);
  ++commits_;
  commit_time_ += clock_.SteadyNow() - start;
  return absl::OkStatus();
}

void Journal::Committed(Group group) {
  {
    MutexLock lock(mutex_);
    for (const Waiter& waiter : group.waiters) {
      waiter.host->registry.MakeDurable(waiter.id, waiter.next);
      if (waiter.bytes > 0) --waiting_entries_;
    }
  }
  for (Waiter& waiter : group.waiters) {
    if (waiter.client != nullptr) waiter.client->Safe(waiter.id, waiter.next);
    waiter.client = nullptr;
  }
  MutexLock lock(mutex_);
  if (!group.entries.empty()) apply_.push_back(std::move(group));
  committing_ = false;
  went_round_ = clock_.SteadyNow();
  changed_.notify_all();
}

void Journal::CommitLoop(const std::stop_token& stop) {
  Group group;
  while (TakeGroup(stop, group)) {
    absl::Status status = CommitGroup(group);
    while (!status.ok() && !stop.stop_requested()) {
      {
        MutexLock lock(mutex_);
        clock_.WaitUntil(mutex_, changed_, stop, SteadyAfter(clock_.SteadyNow(), kRetryEvery),
                         [] { return false; });
        went_round_ = clock_.SteadyNow();
      }
      status = CommitGroup(group);
    }
    if (!status.ok()) {  // it was never acknowledged: the agents still have it
      MutexLock lock(mutex_);
      committing_ = false;
      return;
    }
    Committed(std::exchange(group, Group()));
  }
}

// ---- keeping --------------------------------------------------------------------------------

absl::Status Journal::ApplyGroup(const Group& group) {
  // In order of arrival within each segment; one write per segment.
  std::map<std::pair<absl::string_view, SegmentId>, std::vector<LogEntry>> segments;
  absl::string_view rest = group.entries;
  LogEntry entry;
  while (!rest.empty()) {
    FLEET_RETURN_IF_ERROR(ConsumeLogEntry(rest, entry));
    segments[{entry.host, entry.id}].push_back(entry);
  }
  const SteadyTime now = clock_.SteadyNow();
  for (const auto& [key, entries] : segments) {
    FLEET_RETURN_IF_ERROR(files_.Apply(entries, group.log, now));
  }
  return absl::OkStatus();
}

void Journal::Applied(const Group& group) {
  {
    MutexLock lock(mutex_);
    for (const Waiter& waiter : group.waiters) {
      waiter.host->waiting -= waiter.bytes;
      waiting_bytes_ -= waiter.bytes;
    }
    apply_.pop_front();
    ++version_;
    changed_.notify_all();
  }
  WakeWaiting();
}

void Journal::KeepLoop(const std::stop_token& stop) {
  while (true) {
    const Group* group = nullptr;
    {
      MutexLock lock(mutex_);
      const SteadyTime now = clock_.SteadyNow();
      // In trouble the same is tried again, at a pace.
      const bool trouble = file_trouble_.has_value();
      const SteadyTime until = SteadyAfter(now, trouble ? kRetryEvery : kSyncFilesEvery);
      clock_.WaitUntil(mutex_, changed_, stop, until, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return !trouble && !apply_.empty();
      });
      if (!apply_.empty()) group = &apply_.front();  // only this thread takes it away
    }
    absl::Status status = unrecovered_.empty() ? absl::OkStatus() : RecoverFiles();
    if (status.ok() && group != nullptr) status = ApplyGroup(*group);
    SetTrouble(&Journal::file_trouble_, status);
    if (status.ok() && group != nullptr) Applied(*group);
    if (stop.stop_requested() && (group == nullptr || !status.ok())) return;
    if (!stop.stop_requested()) Upkeep(stop);
  }
}

void Journal::Upkeep(const std::stop_token& stop) {
  const SteadyTime now = clock_.SteadyNow();
  const bool pressure = log_.bytes() > LogBytesMax();
  const uint64_t bytes_max = options_.max_bytes - std::min(options_.max_bytes / 2, log_.bytes());
  if (now >= retain_at_ || files_.bytes() > bytes_max) {
    retain_at_ = SteadyAfter(now, kRetainEvery);
    files_.Retain(clock_.Now() - options_.max_age, bytes_max);
  }
  if (!unrecovered_.empty()) return;  // the logs still have what the files miss
  if (pressure || now >= sync_files_at_) SyncFiles(pressure, stop);
  if (pressure || now >= checkpoint_at_) {
    checkpoint_at_ = SteadyAfter(now, kCheckpointEvery);
    const absl::Status status = ReleaseLogs();
    SetTrouble(&Journal::upkeep_trouble_, status);
  }
}

void Journal::SyncFiles(bool force, const std::stop_token& stop) {
  const auto closed = [this](absl::string_view host, const SegmentId& id) {
    return IsClosed(host, id);
  };
  const SteadyTime now = clock_.SteadyNow();
  const std::optional<HostFiles::Key> next = files_.NextToSync(force, now, closed);
  if (!next.has_value()) return;
  sync_files_at_ = SteadyAfter(now, kSyncFilesEvery);
  if (!force) {  // when the log grows beyond its bound, that matters more than the pace
    MutexLock lock(mutex_);
    clock_.WaitUntil(mutex_, changed_, stop, Reserve(now), [] { return false; });
  }
  const absl::Status status = files_.SyncOne(*next);
  SetTrouble(&Journal::upkeep_trouble_, status);
}

/// Removes the log files that nothing needs any longer, once the catalog knows what they said.
absl::Status Journal::ReleaseLogs() {
  // In this order: what is committed in between lies in this log or a later one.
  uint64_t needed = log_.current();
  {
    MutexLock lock(mutex_);
    for (const Group& group : apply_) needed = std::min(needed, group.log);
  }
  needed = std::min(needed, files_.LowestLogNeeded());
  const std::map<uint64_t, uint64_t> sizes = log_.Sizes();
  if (sizes.empty() || sizes.begin()->first >= needed) return absl::OkStatus();
  FLEET_RETURN_IF_ERROR(WriteCatalog());
  return log_.RemoveBelow(needed);
}

absl::Status Journal::WriteCatalog() {
  std::string catalog;
  {
    MutexLock lock(mutex_);
    PutCatalogHeader(hosts_.size(), catalog);
    for (const auto& [name, host] : hosts_) {
      PutCatalogHost(name, host->heard, host->registry, catalog);
      files_.PutSynced(name, catalog);
    }
  }
  PutCatalogEnd(catalog);
  FLEET_RETURN_IF_ERROR(WriteWhole(fs_, options_.dir + "/catalog", catalog));
  MutexLock lock(mutex_);
  catalog_syncs_ += 2;
  return absl::OkStatus();
}

}  // namespace fleet::collector
