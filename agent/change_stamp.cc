#include "agent/change_stamp.h"

#include <cerrno>

namespace fleet::agent {
namespace {

/// Far longer than a tick of any kernel, or than the second that some filesystems count in.
constexpr absl::Duration kSettleTime = absl::Seconds(3);

}  // namespace

bool ChangeStamp::Same(const Look& a, const Look& b) {
  return a.exists == b.exists && a.device == b.device && a.inode == b.inode && a.size == b.size &&
         a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
}

bool ChangeStamp::MayHaveChanged(absl::Time now) {
  Look look;
  struct stat stat = {};
  if (::stat(full_path_.c_str(), &stat) == 0) {
    look = {.exists = true,
            .device = stat.st_dev,
            .inode = stat.st_ino,
            .size = stat.st_size,
            .changed = stat.st_ctim};
  } else if (errno != ENOENT) {
    last_.reset();  // no way to know
    return true;
  }
  const bool same = settled_ && last_.has_value() && Same(*last_, look);
  last_ = look;
  // After the clock was set back nothing is settled until it has caught up.
  settled_ = !look.exists || now - absl::TimeFromTimespec(look.changed) >= kSettleTime;
  return !same;
}

}  // namespace fleet::agent
