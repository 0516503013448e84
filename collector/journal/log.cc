#include "collector/journal/log.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "collector/journal/file_name.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// A file is read in pieces of this size, or of an entry when that is longer.
constexpr size_t kPieceBytes = 8 << 20;

}  // namespace

std::string JournalLog::PathOf(uint64_t number) const {
  return absl::StrCat(dir_, "/", MakeLogName(number));
}

absl::Status JournalLog::Open() {
  FLEET_RETURN_IF_ERROR(MakeDirectories(files_, dir_));
  FLEET_ASSIGN_OR_RETURN(const auto entries, files_.List(dir_));
  MutexLock lock(mutex_);
  for (const FileSystem::Entry& entry : entries) {
    const std::optional<uint64_t> number = ParseLogName(entry.name);
    if (!number.has_value()) continue;
    sizes_[*number] = entry.bytes;
    next_ = std::max(next_, *number + 1);
  }
  return absl::OkStatus();
}

absl::Status JournalLog::Start(SteadyTime now) {
  {
    MutexLock lock(mutex_);
    number_ = next_++;  // also when this fails: a number is used once
    writing_ = false;
  }
  std::string header;
  PutLogHeader(number_, header);
  FLEET_ASSIGN_OR_RETURN(file_, files_.Create(PathOf(number_)));
  {
    MutexLock lock(mutex_);
    sizes_[number_] = header.size();
    writing_ = true;
  }
  good_bytes_ = 0;
  started_ = now;
  FLEET_RETURN_IF_ERROR(file_->Append(header));
  FLEET_RETURN_IF_ERROR(files_.SyncDirectory(dir_));
  MutexLock lock(mutex_);
  ++syncs_;
  return absl::OkStatus();
}

/// Leaves the file after an error: nothing is known of what came after good_bytes_, and the kernel
/// may have dropped it already.
void JournalLog::Abandon() {
  if (file_ == nullptr) return;
  file_ = nullptr;
  // What it has beyond takes space on a disk that may be full. When even that fails, the tail is
  // cut where it is read, or its entries are found to be known.
  const bool kept = good_bytes_ > 0;
  const absl::Status status =
      kept ? files_.Truncate(PathOf(number_), good_bytes_) : files_.Remove(PathOf(number_));
  MutexLock lock(mutex_);
  writing_ = false;
  if (!status.ok()) return;
  if (kept) {
    sizes_[number_] = good_bytes_;
  } else {
    sizes_.erase(number_);
  }
}

absl::StatusOr<uint64_t> JournalLog::Commit(absl::string_view entries, SteadyTime now) {
  if (file_ != nullptr && (good_bytes_ >= file_bytes_ || now - started_ >= kFileAgeMax)) {
    file_ = nullptr;
  }
  absl::Status status;
  if (file_ == nullptr) status = Start(now);
  if (status.ok()) status = file_->Append(entries);
  if (status.ok()) status = file_->Sync();
  if (!status.ok()) {
    Abandon();
    return status;
  }
  good_bytes_ = std::max<uint64_t>(good_bytes_, kLogHeaderBytes) + entries.size();
  MutexLock lock(mutex_);
  ++syncs_;
  sizes_[number_] = good_bytes_;
  return number_;
}

absl::Status JournalLog::Replay(uint64_t number,
                                absl::FunctionRef<absl::Status(const LogEntry&)> sink,
                                Scan& scan) const {
  uint64_t size = 0;
  {
    MutexLock lock(mutex_);
    const auto found = sizes_.find(number);
    if (found == sizes_.end()) return absl::OkStatus();
    size = found->second;
  }
  uint64_t offset = 0;
  size_t piece = kPieceBytes;
  bool header = false;
  while (offset < size) {
    const absl::StatusOr<std::string> bytes = files_.Read(PathOf(number), offset, piece);
    if (!bytes.ok() || bytes->empty()) break;
    absl::string_view rest = *bytes;
    if (!header) {
      if (!ConsumeLogHeader(rest, number).ok()) break;
      header = true;
    }
    LogEntry entry;
    while (ConsumeLogEntry(rest, entry).ok()) {
      ++scan.entries;
      FLEET_RETURN_IF_ERROR(sink(entry));
    }
    const uint64_t used = bytes->size() - rest.size();
    offset += used;
    const bool at_end = offset + rest.size() >= size;
    if (used == 0 && (at_end || piece > kLogEntryBytesMax)) break;
    if (at_end && rest.empty()) break;
    // An entry may be longer than the piece; a damaged one is found to be so at the end.
    piece = used == 0 ? piece * 4 : kPieceBytes;
  }
  scan.damaged_bytes += size - std::min(size, offset);
  return absl::OkStatus();
}

absl::Status JournalLog::RemoveBelow(uint64_t number) {
  while (true) {
    uint64_t lowest = 0;
    {
      MutexLock lock(mutex_);
      if (sizes_.empty()) return absl::OkStatus();
      lowest = sizes_.begin()->first;
      if (lowest >= number || (writing_ && sizes_.size() == 1)) return absl::OkStatus();
    }
    const absl::Status status = files_.Remove(PathOf(lowest));
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    MutexLock lock(mutex_);
    sizes_.erase(lowest);
  }
}

std::map<uint64_t, uint64_t> JournalLog::Sizes() const {
  MutexLock lock(mutex_);
  return sizes_;
}

uint64_t JournalLog::bytes() const {
  MutexLock lock(mutex_);
  uint64_t bytes = 0;
  for (const auto& [number, size] : sizes_) bytes += size;
  return bytes;
}

uint64_t JournalLog::files() const {
  MutexLock lock(mutex_);
  return sizes_.size();
}

uint64_t JournalLog::current() const {
  MutexLock lock(mutex_);
  return writing_ ? sizes_.rbegin()->first : next_;
}

uint64_t JournalLog::syncs() const {
  MutexLock lock(mutex_);
  return syncs_;
}

}  // namespace fleet::collector
