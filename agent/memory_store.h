#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/check.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::agent {

/// What the checks remember, one file per check in data_dir/memory; in memory alone without a
/// data_dir. A file that cannot be read is set aside and counted, never a reason not to start.
/// Used by one thread at a time per check; Load and Forget by the owner only.
class MemoryStore {
 public:
  /// Value changes reach the disk at most this often; a new or erased key does at once.
  static constexpr absl::Duration kWriteInterval = absl::Minutes(1);
  static constexpr size_t kFileBytesMax = 4 << 20;
  /// A file taken away is missed within this time.
  static constexpr absl::Duration kLookInterval = absl::Milliseconds(100);

  /// Empty `data_dir`: nothing is kept. `writable` false: what is there is read, nothing written.
  MemoryStore(std::string data_dir, bool writable, Clock& clock);

  /// Reads what is kept of `check`. Call once per check, before the others.
  void Load(const std::string& check);

  CheckMemory& memory(const std::string& check);
  /// Whether `check` was ever seen here.
  bool seen(const std::string& check);
  void MarkSeen(const std::string& check);

  /// Writes what is due. Errors: by errno; what is not written stays in memory and is tried again.
  absl::Status Flush(const std::string& check, bool now);

  /// Whether `fleet-agent forget` took the file away since the last write; then nothing of the
  /// check is remembered here either.
  bool TakeForgotten(const std::string& check);

  /// Deletes what `data_dir` keeps of `check`. kNotFound when there is nothing.
  static absl::Status Forget(const std::string& data_dir, absl::string_view check);

 private:
  struct Entry {
    CheckMemory memory;
    bool seen = false;
    bool on_disk = false;
    bool dirty = false;
    uint64_t written_revision = 0;
    size_t written_keys = 0;
    SteadyTime written_at;
    uint64_t looked = 0;  // the state of the directory in which its file was last seen
  };

  std::string FilePath(absl::string_view check) const;
  /// Whether a file may have gone from the directory since this entry last looked for its own.
  bool DirectoryChanged(Entry& entry);

  const std::string data_dir_;
  const bool writable_;
  Clock& clock_;
  /// The directory's last change, and how many were seen: one look serves all checks of a tick.
  Mutex mutex_;
  SteadyTime looked_at_ ABSL_GUARDED_BY(mutex_);
  int64_t changed_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Entry> entries_;  // made by Load, so that threads only look up
};

/// The file's text and back, as `seen` and lines of "key<TAB>value", both C-escaped. Pure.
std::string SerializeMemory(const CheckMemory& memory, bool seen);
/// Errors: kInvalidArgument for anything SerializeMemory would not have written.
absl::Status ParseMemory(absl::string_view text, CheckMemory& memory, bool& seen);

}  // namespace fleet::agent
