#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/owned_directory.h"
#include "common/scoped_fd.h"

namespace fleet {

/// A key is for its owner alone (0600), whatever its old file allowed; only root's own that one
/// group could read, and nobody else, stays so (0640). Anything else is 0600 when it is new, and
/// keeps the mode of its old file.
enum class FileKind { kKey, kOther };

/// A file that takes the place of another at one stroke: it lies beside `path` until Commit, and
/// goes with this object if that never comes. Root makes it with the rights and for the owner of
/// its directory (see OpenOwnedDirectory), so that a daemon can read what root wrote for it; in
/// root's own directories an old file keeps its owner.
class PendingFile {
 public:
  /// `path` + `suffix` is where it lies meanwhile: what lay there is gone. Errors: by errno.
  static absl::StatusOr<PendingFile> Create(const std::string& path, FileKind kind,
                                            absl::string_view suffix);
  PendingFile(PendingFile&&) = default;
  ~PendingFile();

  /// Takes room on the disk for so many bytes. Errors: by errno.
  absl::Status Reserve(size_t bytes);
  /// All that the file says, to the disk. Errors: by errno.
  absl::Status Write(absl::string_view text);
  /// Whoever reads sees the old text or the new one, also after a power cut. Errors: by errno.
  absl::Status Commit();

 private:
  PendingFile() = default;

  OwnedDirectory directory_;
  std::string path_;
  std::string name_;     // in directory_
  std::string partial_;  // beside it
  ScopedFd fd_;          // until Commit
};

/// Replaces or makes `path`, as PendingFile does. Errors: by errno.
absl::Status WritePrivateFile(const std::string& path, absl::string_view text,
                              FileKind kind = FileKind::kOther);

/// Makes a directory and those above it that are missing, 0700, each with the owner of the one
/// above. Errors: by errno.
absl::Status MakePrivateDirectory(const std::string& path);

/// The directory that `path` lies in: "." without a slash.
std::string DirectoryOf(const std::string& path);

}  // namespace fleet
