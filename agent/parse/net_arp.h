#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Counts the entries of /proc/net/arp per device, in the order of first appearance:
///   IP address       HW type     Flags       HW address            Mask     Device
///   192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
///
/// Errors: kInvalidArgument for a line of fewer than six columns after the heading, or more than
/// 65,536 devices.
/// Source: arp_format_neigh_entry() in net/ipv4/arp.c
absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> CountArpEntries(
    absl::string_view text);

}  // namespace fleet::agent
