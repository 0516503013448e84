#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Events of connection tracking since the module was loaded, over all CPUs.
struct ConntrackStat {
  uint64_t found = 0;
  uint64_t invalid = 0;
  uint64_t ignore = 0;
  uint64_t insert = 0;
  uint64_t insert_failed = 0;
  uint64_t drop = 0;
  uint64_t early_drop = 0;
  uint64_t search_restart = 0;
  bool operator==(const ConntrackStat&) const = default;
};

/// Parses /proc/net/stat/nf_conntrack: names, then one line of hexadecimal numbers per CPU:
///   entries  clashres found new invalid ignore … search_restart
///   00000000  00000000 00000000 00000000 00000000 00000000 … 00000000
/// Columns are found by name; one that this kernel lacks stays 0.
///
/// Errors: kInvalidArgument without a heading that names `found`, for a line of another number of
/// columns, or a number that is not hexadecimal.
/// Source: ct_cpu_seq_show() in net/netfilter/nf_conntrack_standalone.c
absl::StatusOr<ConntrackStat> ParseConntrackStat(absl::string_view text);

}  // namespace fleet::agent
