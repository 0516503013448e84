#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace fleet::agent {

/// What statvfs says of one filesystem. A plain struct of fixed size: it crosses a socket.
struct FilesystemUsage {
  double size_bytes = 0;
  double free_bytes = 0;
  double available_bytes = 0;  // to a user without privilege
  double files = 0;            // 0: this filesystem does not count inodes
  double files_free = 0;
  /// Transfer size by block size, 1 nearly everywhere: node_exporter takes one for the other.
  double transfer_ratio = 1;

  /// As df counts: what root keeps for itself is neither used nor available.
  double UsedRatio() const {
    const double used = size_bytes - free_bytes;
    return used + available_bytes > 0 ? used / (used + available_bytes) : 0;
  }
  double FilesUsedRatio() const { return files > 0 ? (files - files_free) / files : 0; }
  bool operator==(const FilesystemUsage&) const = default;
};

/// Where the disk check asks for usage; a test brings its own. Used by one thread at a time.
class FilesystemStats {
 public:
  virtual ~FilesystemStats() = default;

  /// In this process: for filesystems that always answer. Errors: by errno.
  virtual absl::StatusOr<FilesystemUsage> Local(const std::string& path) = 0;

  /// For filesystems that may never answer (fuse, nfs, cifs, …): all are asked at once, each by a
  /// process of its own that is killed when it takes longer than `timeout`. Returns after `timeout`
  /// at the latest, in the order of `paths`. A path that is not among them any more loses its
  /// process.
  /// Errors: by errno; kDeadlineExceeded for a hung one, also while it is left alone for a while.
  virtual std::vector<absl::StatusOr<FilesystemUsage>> Remote(absl::Span<const std::string> paths,
                                                              absl::Duration timeout) = 0;
};

/// The kernel's answers. `program` is our own executable, which StatfsHelperMain answers in.
std::unique_ptr<FilesystemStats> MakeFilesystemStats(std::string program);

/// The word after the program's name that makes it a helper: main() must return
/// StatfsHelperMain() at once, before any thread, when argv[1] is this.
inline constexpr char kStatfsHelperArgument[] = "statfs-helper";

/// The helper: answers paths from the socket on stdin with statvfs until it is closed. Returns the
/// process's exit code.
int StatfsHelperMain();

}  // namespace fleet::agent
