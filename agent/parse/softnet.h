#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// What one CPU's network receive path did since boot.
struct SoftnetCpu {
  uint32_t cpu = 0;
  uint32_t processed = 0;       // packets
  uint32_t dropped = 0;         // packets, for want of room in the backlog
  uint32_t times_squeezed = 0;  // ran out of budget with packets left
  bool operator==(const SoftnetCpu&) const = default;
};

/// Parses /proc/net/softnet_stat: a line per online CPU of hexadecimal columns, such as
///   0000085f 00000000 00000000 … 00000000 00000001 00000000 00000000
/// The 13th column (Linux 5.10) is the CPU's number; before it, the line's place is.
///
/// Errors: kInvalidArgument for a line without three such columns, or more than 8,192 lines.
/// Source: softnet_seq_show in the kernel's net/core/net-procfs.c
absl::StatusOr<std::vector<SoftnetCpu>> ParseSoftnet(absl::string_view text);

}  // namespace fleet::agent
