#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Packets that one CPU took from its network backlog.
struct SoftnetStat {
  uint32_t cpu = 0;
  uint64_t processed = 0;
  uint64_t dropped = 0;
  uint64_t times_squeezed = 0;
  bool operator==(const SoftnetStat&) const = default;
};

/// Parses /proc/net/softnet_stat: one line of hexadecimal numbers per online CPU, such as
///   00000095 00000000 00000000 00000000 … 00000000 00000001 00000000 00000000
/// processed, dropped, times squeezed; the 13th is the CPU's number (Linux 5.10), before that the
/// line's.
///
/// Errors: kInvalidArgument for a line without three hexadecimal numbers.
/// Source: softnet_seq_show() in net/core/net-procfs.c
absl::StatusOr<std::vector<SoftnetStat>> ParseSoftnetStat(absl::string_view text);

}  // namespace fleet::agent
