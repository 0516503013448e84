#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/host_fs.h"
#include "common/scoped_fd.h"

namespace fleet::agent {

/// A file of /proc or /sys that a check reads in every run: on the running machine it is opened
/// once and read from its start each time, for a third of what opening and closing cost, into
/// memory that is used again. A descriptor whose file went away (a module unloaded, a device
/// replaced) gives an error; then the path is opened anew. Anywhere else, and below the root of a
/// fixture host, a file may be replaced under its name, and is opened each time.
///
/// Used by one thread at a time.
class KeptFile {
 public:
  /// How the kernel writes the file. Of kOne it makes the whole text at once (sysfs, sysctl, what
  /// single_open() serves), so a read that does not fill the buffer was the last; kMany are written
  /// record by record, and end with an empty read.
  enum class Records { kOne, kMany };

  KeptFile(HostFs fs, std::string path, Records records);

  /// The whole file; valid until the next Read. Errors as HostFs::Read.
  absl::StatusOr<absl::string_view> Read();
  /// As Read, without surrounding white space.
  absl::StatusOr<absl::string_view> ReadTrimmed();

  /// For a file whose changes the kernel announces (mountinfo; see Watch::Kind::kPollPriority):
  /// whether it may be another than it was at the last call, the first of which says so. Where the
  /// kernel is not asked, because the file is not kept open, it always may.
  bool MayHaveChanged();

  const std::string& path() const { return path_; }

 private:
  absl::Status Open();
  absl::StatusOr<absl::string_view> ReadOpen();

  HostFs fs_;
  std::string path_;
  Records records_;
  bool keep_;
  ScopedFd fd_;
  std::string buffer_;
};

}  // namespace fleet::agent
