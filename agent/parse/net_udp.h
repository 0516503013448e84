#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Bytes waiting in all UDP sockets of one address family.
struct UdpQueues {
  uint64_t transmit_bytes = 0;
  uint64_t receive_bytes = 0;
  bool operator==(const UdpQueues&) const = default;
};

/// Parses /proc/net/udp and udp6, such as (after a heading)
///   3253: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000 …
/// whose fifth column is tx_queue:rx_queue in hexadecimal bytes.
///
/// Errors: kInvalidArgument for a line without that column.
/// Source: proc_net_udp in Documentation/networking/proc_net_tcp.rst
absl::StatusOr<UdpQueues> ParseNetUdp(absl::string_view text);

}  // namespace fleet::agent
