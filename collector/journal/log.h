#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "collector/journal/log_entry.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/mutex.h"

namespace fleet::collector {

/// The shared append log: numbered files of entries. A file is never written to again after an
/// error or a restart. Thread-safe, with one thread that appends.
class JournalLog {
 public:
  static constexpr absl::Duration kFileAgeMax = absl::Hours(1);

  /// What reading found; `damaged_bytes` could not be read, such as a torn tail.
  struct Scan {
    uint64_t entries = 0;
    uint64_t damaged_bytes = 0;
  };

  /// `file_bytes`: a file this long is followed by the next.
  JournalLog(FileSystem& files, std::string dir, uint64_t file_bytes)
      : files_(files), dir_(std::move(dir)), file_bytes_(file_bytes) {}

  /// Finds the files of earlier runs. Errors: by errno.
  absl::Status Open();

  /// Appends whole entries and returns when they are on the disk, with the number of the file that
  /// has them. After an error the entries may or may not be there; giving them again is right.
  absl::StatusOr<uint64_t> Commit(absl::string_view entries, SteadyTime now);

  /// Gives every whole entry of file `number`, in order. Stops at the first error of `sink`, which
  /// it returns. A file that cannot be read counts as damaged.
  absl::Status Replay(uint64_t number, absl::FunctionRef<absl::Status(const LogEntry&)> sink,
                      Scan& scan) const;

  /// Removes the files below `number`, never the one that is written. Errors: by errno.
  absl::Status RemoveBelow(uint64_t number);

  std::map<uint64_t, uint64_t> Sizes() const;  // by number
  uint64_t bytes() const;
  uint64_t files() const;
  /// Every entry that comes from now on lies in this file or a later one.
  uint64_t current() const;
  /// Successful calls of Sync so far, on files and the directory.
  uint64_t syncs() const;

 private:
  std::string PathOf(uint64_t number) const;
  absl::Status Start(SteadyTime now);
  void Abandon();

  FileSystem& files_;
  const std::string dir_;
  const uint64_t file_bytes_;

  // The appending thread's.
  std::unique_ptr<AppendFile> file_;
  uint64_t number_ = 0;
  uint64_t good_bytes_ = 0;  // of file_: on the disk
  SteadyTime started_;

  mutable Mutex mutex_;
  std::map<uint64_t, uint64_t> sizes_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;  // sizes_' last is file_
  uint64_t syncs_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fleet::collector
