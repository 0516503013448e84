// What of the hosts' files is found at start, remembered for the next, and removed in between.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "collector/journal/host_files.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// No segment is longer: a decoder reads no further.
constexpr size_t kFileBytesMax = SegmentLimits().segment_bytes + (1 << 20);

}  // namespace

void HostFiles::Remember(absl::string_view host, const File& file) {
  remembered_[host][file.name.id] = file;
}

absl::Status HostFiles::Open() {
  FLEET_RETURN_IF_ERROR(MakeDirectories(files_, dir_));
  FLEET_ASSIGN_OR_RETURN(const auto hosts, files_.List(dir_));
  for (const FileSystem::Entry& host : hosts) FLEET_RETURN_IF_ERROR(OpenHost(host.name));
  remembered_.clear();
  return absl::OkStatus();
}

absl::Status HostFiles::OpenHost(const std::string& host) {
  const absl::StatusOr<std::vector<FileSystem::Entry>> listed = files_.List(PathOf(host));
  if (!listed.ok()) return absl::OkStatus();  // a stray file, or not ours
  made_.insert(host);
  hosts_named_ = false;  // as far as we know
  for (const FileSystem::Entry& entry : *listed) {
    const std::optional<SegmentName> name = ParseSegmentName(entry.name);
    if (name.has_value()) {
      Examine(host, *name, entry.bytes);
    } else if (absl::EndsWith(entry.name, ".new")) {
      files_.Remove(absl::StrCat(PathOf(host), "/", entry.name)).IgnoreError();  // cut short
    }
  }
  return absl::OkStatus();
}

void HostFiles::Examine(const std::string& host, const SegmentName& name, uint64_t bytes) {
  const std::string path = PathOf(host, name);
  Entry entry;
  entry.file = {name, 0, bytes};
  const auto known = remembered_.find(host);
  bool remembered = false;
  if (known != remembered_.end()) {
    const auto file = known->second.find(name.id);
    remembered =
        file != known->second.end() && file->second.name == name && file->second.bytes == bytes;
    if (remembered) entry.file = file->second;
  }
  if (!remembered) {
    const absl::StatusOr<std::string> content = files_.Read(path, 0, kFileBytesMax);
    if (!content.ok()) return;  // cannot be read now; it stays where it is
    const ScanResult scan = ScanSegment(*content);
    const bool whole = scan.header && scan.id == name.id && scan.reports > 0;
    if (!whole) {
      // A file that was just made has no whole report yet, and is in the log.
      const bool young = scan.header || bytes < kSegmentHeaderBytes;
      const absl::Status gone =
          young ? files_.Remove(path) : files_.Rename(path, path + ".damaged");
      MutexLock lock(mutex_);
      counters_.damaged_bytes += bytes;
      if (!young && gone.ok()) ++counters_.damaged_files;
      return;
    }
    entry.file.reports = scan.reports;
    entry.file.bytes = scan.good_bytes;
    entry.unsure = true;
    entry.named = false;
    if (scan.good_bytes < bytes) entry.trusted = files_.Truncate(path, scan.good_bytes).ok();
    MutexLock lock(mutex_);
    counters_.damaged_bytes += bytes - scan.good_bytes;
  }
  MutexLock lock(mutex_);
  Host& kept = hosts_[host];
  // Two files of one segment: the name says when it was created, so one is not ours.
  if (!kept.files.try_emplace(name.id, entry).second) return;
  kept.bytes += entry.file.bytes;
  bytes_ += entry.file.bytes;
  ++count_;
}

void HostFiles::PutSynced(absl::string_view host, std::string& out) const {
  MutexLock lock(mutex_);
  const auto found = hosts_.find(host);
  uint64_t count = 0;
  std::string list;
  if (found != hosts_.end()) {
    for (const auto& [id, entry] : found->second.files) {
      if (entry.log != 0 || !entry.trusted) continue;
      ++count;
      segment::PutVarint(segment::ZigZag(absl::ToUnixMicros(entry.file.name.created)), list);
      segment::PutVarint(segment::ZigZag(absl::ToInt64Microseconds(entry.file.name.offset)), list);
      segment::PutFixed<uint64_t>(id.epoch, list);
      segment::PutVarint(id.number, list);
      segment::PutVarint(entry.file.reports, list);
      segment::PutVarint(entry.file.bytes, list);
    }
  }
  segment::PutVarint(count, out);
  out.append(list);
}

// ---- retention ------------------------------------------------------------------------------

bool HostFiles::Delete(const std::string& host, const SegmentId& id, uint64_t Counters::*counter) {
  Entry* entry = FindEntry(host, id);
  const std::string path = PathOf(host, entry->file.name);
  open_.Close(path);
  const absl::Status status = files_.Remove(path);
  if (!status.ok() && !absl::IsNotFound(status)) return false;
  if (entry->log != 0) dirty_.erase({entry->log, {host, id}});
  bool empty = false;
  {
    MutexLock lock(mutex_);
    Host& kept = hosts_.find(host)->second;
    counters_.*counter += entry->file.reports;
    kept.bytes -= entry->file.bytes;
    bytes_ -= entry->file.bytes;
    --count_;
    kept.files.erase(id);
    empty = kept.files.empty();
    if (empty) hosts_.erase(host);
  }
  if (empty) {
    made_.erase(host);
    files_.RemoveDirectory(PathOf(host)).IgnoreError();  // something else may lie there
  }
  return true;
}

void HostFiles::Retain(absl::Time before, uint64_t bytes_max) {
  std::vector<std::pair<std::string, SegmentId>> old;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, host] : hosts_) {
      for (const auto& [id, entry] : host.files) {
        if (entry.file.name.created + kSegmentAgeMax < before) old.emplace_back(name, id);
      }
    }
  }
  for (const auto& [host, id] : old) Delete(host, id, &Counters::reports_dropped_age);
  RetainFiles();
  if (bytes() > bytes_max) RetainBytes(bytes_max - bytes_max / 100);
}

void HostFiles::RetainFiles() {
  std::vector<std::string> many;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, host] : hosts_) {
      if (host.files.size() > kFilesPerHostMax) many.push_back(name);
    }
  }
  for (const std::string& host : many) {
    const std::vector<File> files = Of(host);
    for (size_t i = 0; i + kFilesPerHostMax < files.size(); ++i) {
      if (!Delete(host, files[i].name.id, &Counters::reports_dropped_bytes)) break;
    }
  }
}

void HostFiles::RetainBytes(uint64_t bytes_max) {
  while (bytes() > bytes_max) {
    // Who keeps most pays, so that nobody's history is pushed out by another's.
    std::string most;
    {
      MutexLock lock(mutex_);
      uint64_t bytes = 0;
      for (const auto& [name, host] : hosts_) {
        if (host.files.size() < 2 || host.bytes <= bytes) continue;
        bytes = host.bytes;
        most = name;
      }
    }
    if (most.empty()) return;
    if (!Delete(most, Of(most).front().name.id, &Counters::reports_dropped_bytes)) return;
  }
}

}  // namespace fleet::collector
