#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/scoped_fd.h"

namespace fleet {

/// Whose rights count at files.
struct FileUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// For errors of root's: as whom something was tried. Empty for root itself.
std::string AsWhom(const FileUser& user);

/// While it lives, this thread has the rights of `user` at files, no more and no other groups, and
/// what it makes is theirs. For a process of root's; without effect for root as `user`.
class ActingAs {
 public:
  explicit ActingAs(const FileUser& user);
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;
  /// Errors: kPermissionDenied when this process may not act as somebody else.
  absl::Status status() const { return status_; }

 private:
  const bool active_;
  gid_t former_gid_ = 0;
  std::vector<gid_t> former_groups_;
  absl::Status status_;
};

/// A directory to write in.
struct OwnedDirectory {
  ScopedFd fd;    // O_PATH
  FileUser user;  // to act as there
};

/// Opens `path`; `make`: with what is missing of it, 0700. Root is led nowhere by somebody else:
/// from the first directory or link on that is not root's it acts as that one's owner, so that
/// their links and what they swap reach no further than they do themselves. Anybody else acts as
/// themselves. Errors: by errno.
absl::StatusOr<OwnedDirectory> OpenOwnedDirectory(const std::string& path, bool make);

}  // namespace fleet
