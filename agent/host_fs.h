#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// The host's files as a check sees them: every path is relative to one root ("/" or a fixture
/// host), so `Read("proc/meminfo")`. Thread-safe; cheap to copy.
class HostFs {
 public:
  static constexpr size_t kReadBytesMax = 4 << 20;

  explicit HostFs(std::string root = "/");

  /// The whole file. st_size is not believed (it is 0 or 4096 in /proc and /sys).
  /// Errors: by errno (kNotFound, kPermissionDenied, kUnavailable for ENODEV and the like, …), or
  /// kResourceExhausted over `size_max`; never a silent cut.
  absl::StatusOr<std::string> Read(absl::string_view path, size_t size_max = kReadBytesMax) const;

  /// As Read, without surrounding white space: one sysfs attribute.
  absl::StatusOr<std::string> ReadTrimmed(absl::string_view path) const;

  /// Names in a directory without "." and "..", sorted. Errors: by errno, or kResourceExhausted
  /// past 65,536 entries.
  absl::StatusOr<std::vector<std::string>> List(absl::string_view path) const;

  /// Where a symbolic link points, unresolved. Errors: by errno.
  absl::StatusOr<std::string> ReadLink(absl::string_view path) const;

  bool Exists(absl::string_view path) const;

  /// `path` under the root, for a syscall of one's own.
  std::string Path(absl::string_view path) const;

  /// Whether this is the running machine rather than a fixture host: only then may a check ask the
  /// kernel or a daemon anything that is not a file.
  bool live() const { return root_ == "/"; }

 private:
  std::string root_;
};

}  // namespace fleet::agent
