#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/parse/mountinfo.h"

namespace fleet::agent {

/// A mount and what is to be done with it.
struct DiskMount {
  Mount mount;
  bool exported = false;  // node_filesystem_* has it
  bool judged = false;    // it is an item
  bool may_hang = false;  // statvfs only in a helper process
  bool hidden = false;    // from this process: its path leads to another filesystem here
};

/// Whether Debian's node_exporter 1.5 leaves a mount point or type out of node_filesystem_* unless
/// told otherwise. Excluded types include autofs, whose mount points must not be touched.
bool IsExcludedMountPoint(absl::string_view mount_point);
bool IsExcludedType(absl::string_view type);

/// Whether node_disk_* leaves the device out: partitions of disks, loop, ram and floppy devices.
bool IsExcludedDevice(absl::string_view device);

/// Decides for each mount. Items are real filesystems only, each device once: a bind mount yields
/// to the mount of the filesystem's root, the first in order wins; of several mounts on one point
/// only the last is seen. Filesystems served by a program or another machine may hang, and so does
/// whatever is mounted below one. Order is kept.
std::vector<DiskMount> SortMounts(std::vector<Mount> mounts);

/// Marks the mounts whose paths lead elsewhere for a process that sees `ours`, as behind systemd's
/// ProtectHome or PrivateTmp: statvfs would answer for what hides them.
void MarkHidden(const std::vector<Mount>& ours, std::vector<DiskMount>& mounts);

/// What fstab says of a mount point: whether it has a line for it, and whether that says `ro`.
struct FstabLine {
  bool found = false;
  bool read_only = false;
};
FstabLine FindInFstab(absl::string_view fstab, absl::string_view mount_point);

}  // namespace fleet::agent
