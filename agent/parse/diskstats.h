#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Counters of one block device since boot. They may wrap, and a name may be used again.
struct DiskStats {
  static constexpr size_t kFieldsMax = 17;
  uint32_t major = 0;
  uint32_t minor = 0;
  std::string device;
  /// In the kernel's order: reads completed, merged, sectors, ms; the same of writes; I/Os in
  /// progress, ms busy, weighted ms; discards completed, merged, sectors, ms (4.18); flushes, ms
  /// (5.5). Sectors of 512 bytes.
  std::array<uint64_t, kFieldsMax> fields{};
  size_t fields_size = 0;  // 11, 15 or 17 by kernel version
  bool operator==(const DiskStats&) const = default;
};

/// Parses /proc/diskstats, such as
///    8       0 sda 73561 28496 4127186 36652 26411 23066 4165168 30885 0 26868 69143 8691 46 1 2 3
///    4
/// Further columns of a newer kernel are skipped.
///
/// Errors: kInvalidArgument for a line without device and eleven numbers, or more than 65,536
/// lines. Source: Documentation/admin-guide/iostats.rst
absl::StatusOr<std::vector<DiskStats>> ParseDiskStats(absl::string_view text);

}  // namespace fleet::agent
