#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "agent/host_fs.h"

namespace fleet::agent {

/// Tells by one stat whether a file on disk, or the set of files in a directory, may have changed:
/// for what is asked about every second and changes once a month. (Not for /proc and /sys, whose
/// files have no times; see KeptFile.)
///
/// Two changes within one tick of the kernel's clock bear the same time. So a path is believed to
/// be unchanged only after it was left alone for a while before it was looked at.
///
/// Used by one thread at a time.
class ChangeStamp {
 public:
  ChangeStamp(const HostFs& fs, absl::string_view path) : full_path_(fs.Path(path)) {}

  /// Whether the path may be another than when this was last asked; true the first time. Ask, then
  /// read: what changes in between is read again the next time.
  /// `now` is the wall clock, which the times of files are taken from.
  bool MayHaveChanged(absl::Time now = absl::Now());
  /// Whether there was anything at the path then.
  bool exists() const { return last_.has_value() && last_->exists; }

 private:
  struct Look {
    bool exists = false;
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec changed = {};  // ctime: nobody can set it back
  };
  static bool Same(const Look& a, const Look& b);

  std::string full_path_;
  std::optional<Look> last_;
  bool settled_ = false;
};

}  // namespace fleet::agent
