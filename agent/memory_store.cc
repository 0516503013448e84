#include "agent/memory_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "agent/host_fs.h"
#include "common/log.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kHeader = "fleet-memory 1 ";

/// Replaces `path` as a whole or not at all.
absl::Status WriteAtomically(const std::string& path, absl::string_view text) {
  const std::string temporary = absl::StrCat(path, ".tmp");
  {
    const ScopedFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", temporary));
    while (!text.empty()) {
      const ssize_t written = ::write(fd.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return absl::ErrnoToStatus(errno, absl::StrCat("write ", temporary));
      text.remove_prefix(static_cast<size_t>(written));
    }
    if (::fdatasync(fd.get()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("sync ", temporary));
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("rename ", temporary));
  }
  return absl::OkStatus();
}

}  // namespace

std::string SerializeMemory(const CheckMemory& memory, bool seen) {
  std::string text = absl::StrCat(kHeader, seen ? "seen" : "unseen", "\n");
  for (const auto& [key, value] : memory.entries()) {
    absl::StrAppend(&text, absl::CEscape(key), "\t", absl::CEscape(value), "\n");
  }
  return text;
}

absl::Status ParseMemory(absl::string_view text, CheckMemory& memory, bool& seen) {
  if (!absl::ConsumePrefix(&text, kHeader) || !absl::EndsWith(text, "\n")) {
    return absl::InvalidArgumentError("not a whole memory file");
  }
  bool first = true;
  for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    if (std::exchange(first, false)) {
      if (line != "seen" && line != "unseen") return absl::InvalidArgumentError("bad header");
      seen = line == "seen";
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> entry =
        absl::StrSplit(line, absl::MaxSplits('\t', 1));
    std::string key;
    std::string value;
    if (!absl::StrContains(line, '\t') || !absl::CUnescape(entry.first, &key) ||
        !absl::CUnescape(entry.second, &value)) {
      return absl::InvalidArgumentError("bad entry");
    }
    memory.Set(key, std::move(value));
  }
  return absl::OkStatus();
}

MemoryStore::MemoryStore(std::string data_dir, bool writable, Clock& clock)
    : data_dir_(std::move(data_dir)), writable_(writable && !data_dir_.empty()), clock_(clock) {}

std::string MemoryStore::FilePath(absl::string_view check) const {
  return absl::StrCat(data_dir_, "/memory/", check);
}

void MemoryStore::Load(const std::string& check) {
  Entry& entry = entries_[check];
  entry.written_at = clock_.SteadyNow();
  if (data_dir_.empty()) return;
  const absl::StatusOr<std::string> text = HostFs("/").Read(FilePath(check), kFileBytesMax);
  if (absl::IsNotFound(text.status())) return;
  CheckMemory memory;
  absl::Status status = text.status();
  if (text.ok()) status = ParseMemory(*text, memory, entry.seen);
  if (!status.ok()) {
    log::Warning("what a check remembered cannot be read and is set aside",
                 {{"check", check}, {"error", status}});
    if (writable_) {
      const std::string path = FilePath(check);
      ::rename(path.c_str(), absl::StrCat(path, ".damaged").c_str());
    }
    return;
  }
  entry.memory = std::move(memory);
  entry.on_disk = true;
  entry.written_revision = entry.memory.revision();
  entry.written_keys = entry.memory.entries().size();
}

CheckMemory& MemoryStore::memory(const std::string& check) { return entries_.at(check).memory; }

bool MemoryStore::seen(const std::string& check) { return entries_.at(check).seen; }

void MemoryStore::MarkSeen(const std::string& check) {
  Entry& entry = entries_.at(check);
  if (entry.seen) return;
  entry.seen = true;
  entry.dirty = true;
}

absl::Status MemoryStore::Flush(const std::string& check, bool now) {
  Entry& entry = entries_.at(check);
  if (!writable_) return absl::OkStatus();
  const bool changed = entry.memory.revision() != entry.written_revision;
  const bool due = clock_.SteadyNow() - entry.written_at >= kWriteInterval;
  const bool other_keys = entry.memory.entries().size() != entry.written_keys;
  if (!entry.dirty && !(changed && (now || due || other_keys))) return absl::OkStatus();
  // Forgotten since the run began: it stays away, and TakeForgotten will notice.
  if (entry.on_disk && ::access(FilePath(check).c_str(), F_OK) != 0) return absl::OkStatus();
  ::mkdir(data_dir_.c_str(), 0750);
  ::mkdir(absl::StrCat(data_dir_, "/memory").c_str(), 0750);
  FLEET_RETURN_IF_ERROR(
      WriteAtomically(FilePath(check), SerializeMemory(entry.memory, entry.seen)));
  entry.dirty = false;
  entry.on_disk = true;
  entry.written_revision = entry.memory.revision();
  entry.written_keys = entry.memory.entries().size();
  entry.written_at = clock_.SteadyNow();
  return absl::OkStatus();
}

bool MemoryStore::DirectoryChanged(Entry& entry) {
  MutexLock lock(mutex_);
  const SteadyTime now = clock_.SteadyNow();
  if (changes_ == 0 || now - looked_at_ >= kLookInterval) {
    looked_at_ = now;
    struct stat directory = {};
    int64_t changed_ns = 0;
    if (::stat(absl::StrCat(data_dir_, "/memory").c_str(), &directory) == 0) {
      changed_ns = absl::ToUnixNanos(absl::TimeFromTimespec(directory.st_mtim));
    }
    // The stamp of a change is a few milliseconds coarse, so one this fresh may be of two changes.
    const bool fresh = absl::Now() - absl::FromUnixNanos(changed_ns) < absl::Seconds(1);
    if (changes_ == 0 || changed_ns != changed_ns_ || fresh) ++changes_;
    changed_ns_ = changed_ns;
  }
  return std::exchange(entry.looked, changes_) != changes_;
}

bool MemoryStore::TakeForgotten(const std::string& check) {
  Entry& entry = entries_.at(check);
  if (!entry.on_disk || !DirectoryChanged(entry)) return false;
  if (::access(FilePath(check).c_str(), F_OK) == 0) return false;
  entry = Entry();
  entry.written_at = clock_.SteadyNow();
  return true;
}

absl::Status MemoryStore::Forget(const std::string& data_dir, absl::string_view check) {
  const std::string path = absl::StrCat(data_dir, "/memory/", check);
  if (::unlink(path.c_str()) != 0) return absl::ErrnoToStatus(errno, absl::StrCat("remove ", path));
  return absl::OkStatus();
}

}  // namespace fleet::agent
