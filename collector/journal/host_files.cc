#include "collector/journal/host_files.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet::collector {

std::string HostFiles::PathOf(absl::string_view host) const {
  return absl::StrCat(dir_, "/", host);
}

std::string HostFiles::PathOf(absl::string_view host, const SegmentName& name) const {
  return absl::StrCat(dir_, "/", host, "/", MakeSegmentName(name));
}

HostFiles::Entry* HostFiles::FindEntry(absl::string_view host, const SegmentId& id) {
  MutexLock lock(mutex_);
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return nullptr;
  const auto file = found->second.files.find(id);
  return file == found->second.files.end() ? nullptr : &file->second;
}

// ---- appending ------------------------------------------------------------------------------

absl::StatusOr<HostFiles::Entry*> HostFiles::Create(const LogEntry& first) {
  const std::string host(first.host);
  if (!made_.contains(host)) {
    absl::Status made = files_.MakeDirectory(PathOf(host));
    if (absl::IsNotFound(made))
      made = MakeDirectories(files_, PathOf(host));  // removed by somebody
    if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
    made_.insert(host);
    hosts_named_ = false;
  }
  const SegmentName name{first.id, first.created, first.offset};
  const std::string path = PathOf(host, name);
  absl::StatusOr<std::unique_ptr<AppendFile>> file = files_.Create(path);
  if (absl::IsNotFound(file.status())) made_.erase(host);  // somebody removed the directory
  bool left = false;
  if (absl::IsAlreadyExists(file.status())) {
    left = true;  // of an attempt that failed, and not in our index: MakeSure looks
    file = files_.OpenToAppend(path);
  }
  FLEET_RETURN_IF_ERROR(file.status());
  open_.Put(path, *std::move(file));
  MutexLock lock(mutex_);
  Entry& entry = hosts_[host].files[first.id];
  entry.file.name = name;
  entry.trusted = !left;
  entry.named = false;
  ++count_;
  return &entry;
}

/// Makes the file end where its last known report does.
absl::Status HostFiles::MakeSure(absl::string_view host, Entry& entry) {
  if (entry.trusted) return absl::OkStatus();
  const std::string path = PathOf(host, entry.file.name);
  open_.Close(path);
  FLEET_RETURN_IF_ERROR(files_.Truncate(path, entry.file.bytes));
  entry.trusted = true;
  return absl::OkStatus();
}

absl::Status HostFiles::Append(absl::string_view host, Entry& entry, absl::string_view bytes) {
  FLEET_RETURN_IF_ERROR(MakeSure(host, entry));
  const std::string path = PathOf(host, entry.file.name);
  const absl::StatusOr<AppendFile*> file = open_.Get(path);
  FLEET_RETURN_IF_ERROR(file.status());
  const absl::Status status = (*file)->Append(bytes);
  if (!status.ok()) entry.trusted = false;  // a part of it may be there
  return status;
}

void HostFiles::MakeDirty(absl::string_view host, Entry& entry, uint64_t log) {
  entry.synced = false;
  if (entry.log != 0) return;
  entry.log = log;
  dirty_.insert({log, {std::string(host), entry.file.name.id}});
}

absl::Status HostFiles::Apply(absl::Span<const LogEntry> entries, uint64_t log, SteadyTime now) {
  const absl::string_view host = entries.front().host;
  const SegmentId id = entries.front().id;
  Entry* entry = FindEntry(host, id);
  uint64_t end = entry == nullptr ? 0 : entry->file.reports;
  std::string bytes;
  uint64_t lost = 0;
  for (const LogEntry& piece : entries) {
    if (piece.end() <= end) continue;
    absl::string_view records;
    if (piece.first_index > end || !RecordsFrom(piece, end, records).ok()) {
      lost += piece.count;
      continue;
    }
    // Only the entry with the first report has the header.
    if (end == 0) {
      FLEET_ASSIGN_OR_RETURN(entry, entry == nullptr ? Create(piece) : entry);
    }
    bytes.append(records.data(), records.size());
    end = piece.end();
  }
  if (entry != nullptr && !bytes.empty()) {
    FLEET_RETURN_IF_ERROR(Append(host, *entry, bytes));
    MakeDirty(host, *entry, log);
    entry->appended = now;
  } else if (entry != nullptr && entry->unsure) {
    MakeDirty(host, *entry, log);
  }
  MutexLock lock(mutex_);
  counters_.reports_lost += lost;
  if (bytes.empty()) return absl::OkStatus();
  entry->file.reports = end;
  entry->file.bytes += bytes.size();
  hosts_.find(host)->second.bytes += bytes.size();
  bytes_ += bytes.size();
  return absl::OkStatus();
}

// ---- syncing --------------------------------------------------------------------------------

void HostFiles::MakeClean(const std::string& host, Entry& entry) {
  dirty_.erase({entry.log, {host, entry.file.name.id}});
  MutexLock lock(mutex_);
  entry.log = 0;
  entry.unsure = false;
}

/// Writes a file anew whose sync failed: the kernel may take pages for clean that never reached the
/// disk. What the page cache still has is checked by its checksums.
absl::Status HostFiles::Rewrite(const std::string& host, Entry& entry) {
  const std::string path = PathOf(host, entry.file.name);
  open_.Close(path);
  FLEET_ASSIGN_OR_RETURN(std::string bytes,
                         files_.Read(path, 0, static_cast<size_t>(entry.file.bytes)));
  const ScanResult scan = ScanSegment(bytes);
  bytes.resize(scan.good_bytes);
  FLEET_RETURN_IF_ERROR(WriteWhole(files_, path, bytes));
  FLEET_RETURN_IF_ERROR(SyncHosts());
  entry.rewrite = false;
  entry.synced = true;
  entry.named = true;
  MutexLock lock(mutex_);
  counters_.syncs += 2;
  counters_.reports_lost += entry.file.reports - scan.reports;
  counters_.damaged_bytes += entry.file.bytes - scan.good_bytes;
  hosts_.find(host)->second.bytes -= entry.file.bytes - scan.good_bytes;
  bytes_ -= entry.file.bytes - scan.good_bytes;
  entry.file.reports = scan.reports;
  entry.file.bytes = scan.good_bytes;
  return absl::OkStatus();
}

absl::Status HostFiles::SyncFile(const std::string& host, Entry& entry) {
  if (entry.rewrite) return Rewrite(host, entry);
  const absl::StatusOr<AppendFile*> file = open_.Get(PathOf(host, entry.file.name));
  FLEET_RETURN_IF_ERROR(file.status());
  if (const absl::Status status = (*file)->Sync(); !status.ok()) {
    entry.rewrite = true;
    return status;
  }
  entry.synced = true;
  MutexLock lock(mutex_);
  ++counters_.syncs;
  return absl::OkStatus();
}

absl::Status HostFiles::SyncHosts() {
  if (hosts_named_) return absl::OkStatus();
  FLEET_RETURN_IF_ERROR(files_.SyncDirectory(dir_));
  hosts_named_ = true;
  MutexLock lock(mutex_);
  ++counters_.syncs;
  return absl::OkStatus();
}

absl::Status HostFiles::SyncNames(const std::string& host) {
  FLEET_RETURN_IF_ERROR(files_.SyncDirectory(PathOf(host)));
  std::vector<Entry*> clean;
  {
    MutexLock lock(mutex_);
    ++counters_.syncs;
    for (auto& [id, entry] : hosts_.find(host)->second.files) {
      entry.named = true;
      if (entry.log != 0 && entry.synced) clean.push_back(&entry);
    }
  }
  for (Entry* entry : clean) MakeClean(host, *entry);
  return absl::OkStatus();
}

std::optional<HostFiles::Key> HostFiles::NextToSync(
    bool force, SteadyTime now,
    absl::FunctionRef<bool(absl::string_view, const SegmentId&)> closed) {
  for (const auto& [log, key] : dirty_) {
    const Entry* entry = FindEntry(key.first, key.second);
    const bool begun = entry->synced && !entry->named;
    if (force || begun || now - entry->appended >= kIdleMax || closed(key.first, key.second)) {
      return key;
    }
  }
  return std::nullopt;
}

absl::Status HostFiles::SyncOne(const Key& key) {
  const auto& [host, id] = key;
  Entry* entry = FindEntry(host, id);
  if (entry == nullptr || entry->log == 0) return absl::OkStatus();
  const bool names = entry->synced;
  const absl::Status status = !names          ? SyncFile(host, *entry)
                              : !hosts_named_ ? SyncHosts()
                                              : SyncNames(host);
  if (status.ok()) {
    entry->failures = 0;
    if (!names && entry->named) MakeClean(host, *entry);
    return absl::OkStatus();
  }
  if (absl::IsNotFound(status)) {  // removed behind our back
    Delete(host, id, &Counters::reports_lost);
    return absl::OkStatus();
  }
  if (!absl::IsResourceExhausted(status) && ++entry->failures >= kSyncFailuresMax) {
    MakeClean(host, *entry);
    MutexLock lock(mutex_);
    ++counters_.damaged_files;
  }
  return status;
}

uint64_t HostFiles::LowestLogNeeded() const {
  return dirty_.empty() ? std::numeric_limits<uint64_t>::max() : dirty_.begin()->first;
}

// ---- reading --------------------------------------------------------------------------------

std::vector<std::string> HostFiles::Hosts() const {
  std::vector<std::string> hosts;
  MutexLock lock(mutex_);
  for (const auto& [name, host] : hosts_) {
    if (!host.files.empty()) hosts.push_back(name);
  }
  return hosts;
}

std::vector<HostFiles::File> HostFiles::Of(absl::string_view host) const {
  std::vector<File> files;
  {
    MutexLock lock(mutex_);
    const auto found = hosts_.find(host);
    if (found == hosts_.end()) return {};
    files.reserve(found->second.files.size());
    for (const auto& [id, entry] : found->second.files) files.push_back(entry.file);
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return std::pair(a.name.created, a.name.id) < std::pair(b.name.created, b.name.id);
  });
  return files;
}

absl::StatusOr<HostFiles::File> HostFiles::Find(absl::string_view host, const SegmentId& id) const {
  MutexLock lock(mutex_);
  const auto found = hosts_.find(host);
  if (found != hosts_.end()) {
    const auto file = found->second.files.find(id);
    if (file != found->second.files.end()) return file->second.file;
  }
  return absl::NotFoundError(absl::StrCat("no segment ", id.number, " of ", host, " is kept"));
}

absl::StatusOr<std::string> HostFiles::Read(absl::string_view host, const SegmentId& id,
                                            uint64_t offset) const {
  FLEET_ASSIGN_OR_RETURN(const File file, Find(host, id));
  if (offset >= file.bytes) return std::string();
  return files_.Read(PathOf(host, file.name), offset, static_cast<size_t>(file.bytes - offset));
}

uint64_t HostFiles::bytes() const {
  MutexLock lock(mutex_);
  return bytes_;
}

uint64_t HostFiles::files() const {
  MutexLock lock(mutex_);
  return count_;
}

HostFiles::Counters HostFiles::counters() const {
  MutexLock lock(mutex_);
  return counters_;
}

}  // namespace fleet::collector
