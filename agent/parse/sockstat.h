#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One number of one protocol: ("TCP", "inuse").
struct SockstatField {
  std::string protocol;
  std::string name;
  uint64_t value = 0;
  bool operator==(const SockstatField&) const = default;
};

/// Parses /proc/net/sockstat and sockstat6, such as
///   TCP: inuse 7 orphan 0 tw 5 alloc 7 mem 275
/// in sockets, `mem` in pages and `memory` in bytes.
///
/// Errors: kInvalidArgument for a line without colon, a name without value, a value that is not a
/// non-negative integer, or more than 1024 fields.
/// Source: sockstat_seq_show() in net/ipv4/proc.c
absl::StatusOr<std::vector<SockstatField>> ParseSockstat(absl::string_view text);

}  // namespace fleet::agent
