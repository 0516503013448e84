#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// What one network link has moved since it appeared, summed as the kernel does for /proc/net/dev.
struct LinkCounters {
  uint64_t receive_bytes = 0;
  uint64_t receive_packets = 0;
  uint64_t receive_errs = 0;
  uint64_t receive_drop = 0;  // dropped and missed
  uint64_t receive_fifo = 0;
  uint64_t receive_frame = 0;  // length, overrun, CRC and frame errors
  uint64_t receive_compressed = 0;
  uint64_t receive_multicast = 0;
  uint64_t transmit_bytes = 0;
  uint64_t transmit_packets = 0;
  uint64_t transmit_errs = 0;
  uint64_t transmit_drop = 0;
  uint64_t transmit_fifo = 0;
  uint64_t transmit_colls = 0;
  uint64_t transmit_carrier = 0;  // carrier, aborted, window and heartbeat errors
  uint64_t transmit_compressed = 0;
  uint64_t receive_nohandler = 0;  // not in /proc/net/dev
  bool operator==(const LinkCounters&) const = default;
};

struct NetDevLine {
  std::string device;
  LinkCounters counters;
};

/// Parses /proc/net/dev, such as
///   Inter-|   Receive                            |  Transmit
///    face |bytes packets errs drop fifo frame compressed multicast|bytes … compressed
///     eth0: 87455891 1915 0 0 0 0 0 0 82473 1054 0 0 0 0 0 0
/// in bytes and packets. Lines without a colon are the heading; further columns are dropped.
///
/// Errors: kInvalidArgument for a line without a name or its 16 numbers, or more than 65,536 lines.
/// Source: dev_seq_printf_stats() in net/core/net-procfs.c
absl::StatusOr<std::vector<NetDevLine>> ParseNetDev(absl::string_view text);

}  // namespace fleet::agent
