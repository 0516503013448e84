#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One mounted filesystem, as a process sees it.
struct Mount {
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string root;           // the part of the filesystem that is mounted; "/" unless bound
  std::string mount_point;    // absolute, unescaped
  std::string options;        // of this mount: "rw,relatime"
  std::string type;           // "ext4", "fuse.sshfs"
  std::string source;         // "/dev/sda1"; octal escapes left as the kernel writes them
  std::string super_options;  // of the filesystem: "rw,errors=remount-ro"

  /// Whether writes are refused: by this mount, or by the filesystem (`ro`, `emergency_ro`).
  bool read_only() const;
  bool operator==(const Mount&) const = default;
};

/// Parses /proc/PID/mountinfo, such as
///   36 35 98:0 /sub /mnt/a\040b rw,noatime master:1 - ext3 /dev/root rw,errors=continue
/// where any number of optional fields ends with " - ". Order is kept: of two mounts on the same
/// point, the later one is seen.
///
/// Errors: kInvalidArgument for a line without the known fields, or more than 65,536 mounts.
/// Source: proc(5), "/proc/pid/mountinfo".
absl::StatusOr<std::vector<Mount>> ParseMountinfo(absl::string_view text);

/// Replaces octal escapes ("\040") by the bytes they stand for; anything else is kept.
std::string UnescapeOctal(absl::string_view text);

}  // namespace fleet::agent
