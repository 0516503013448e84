#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet {

/// A file that only grows. Used by one thread at a time.
class AppendFile {
 public:
  virtual ~AppendFile() = default;

  /// Writes all of `bytes` at the end. After an error the file may end with a part of them; what
  /// was there before is untouched. Errors: by errno; kResourceExhausted for a full disk.
  virtual absl::Status Append(absl::string_view bytes) = 0;
  /// Returns when everything appended so far is on the disk. After an error nothing is known of
  /// what was appended since the last success, and trying again does not help: the kernel drops
  /// what it could not write.
  virtual absl::Status Sync() = 0;
};

/// The operations on files that durability is built from, so that a test can lose whatever was not
/// synced and fail at any of them. Paths are absolute or relative to the process's directory.
/// Thread-safe. Errors are by errno: kNotFound, kAlreadyExists, kPermissionDenied,
/// kResourceExhausted for a full disk.
class FileSystem {
 public:
  struct Entry {
    std::string name;  // without its directory
    uint64_t bytes = 0;
  };

  virtual ~FileSystem() = default;

  /// A new file with mode 0600. Its name is on the disk only after SyncDirectory.
  /// Errors: kAlreadyExists.
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) = 0;
  /// An existing file, to be continued.
  virtual absl::StatusOr<std::unique_ptr<AppendFile>> OpenToAppend(const std::string& path) = 0;
  /// At most `bytes_max` bytes from `offset` on; fewer at the end of the file.
  virtual absl::StatusOr<std::string> Read(const std::string& path, uint64_t offset,
                                           size_t bytes_max) = 0;
  /// Cuts a file and syncs it.
  virtual absl::Status Truncate(const std::string& path, uint64_t bytes) = 0;
  /// Replaces `to` by `from`, as a whole; on the disk only after SyncDirectory.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  /// A new directory with mode 0700, in one that exists; see MakeDirectories. Its name is on the
  /// disk only after SyncDirectory of the one above. Errors: kAlreadyExists.
  virtual absl::Status MakeDirectory(const std::string& path) = 0;
  /// Returns when the names in `path` are on the disk as they are now.
  virtual absl::Status SyncDirectory(const std::string& path) = 0;
  /// Removes an empty directory.
  virtual absl::Status RemoveDirectory(const std::string& path) = 0;
  /// Regular files and directories (with 0 bytes) in `path`, sorted by name.
  virtual absl::StatusOr<std::vector<Entry>> List(const std::string& path) = 0;

  /// The machine's.
  static FileSystem& Real();
};

/// The directory with those above it, their names on the disk when it returns. It may exist.
absl::Status MakeDirectories(FileSystem& files, const std::string& path);

/// The whole file. Errors: kResourceExhausted beyond `bytes_max`, never a silent cut.
absl::StatusOr<std::string> ReadWhole(FileSystem& files, const std::string& path, size_t bytes_max);

/// Replaces `path` by `bytes`, as a whole or not at all, and on the disk when it returns.
absl::Status WriteWhole(FileSystem& files, const std::string& path, absl::string_view bytes);

}  // namespace fleet
