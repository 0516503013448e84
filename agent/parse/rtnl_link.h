#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/parse/net_dev.h"

namespace fleet::agent {

/// What rtnetlink says about one network link, apart from its counters.
struct RtnlLinkState {
  int32_t index = 0;
  std::string name;
  uint32_t flags = 0;  // IFF_*, with the volatile ones (IFF_RUNNING, IFF_LOWER_UP, IFF_DORMANT)
  uint16_t type = 0;   // ARPHRD_*
  uint32_t mtu_bytes = 0;
  uint32_t transmit_queue_length = 0;  // packets
  uint32_t group = 0;
  int32_t link = 0;  // index of the link below or of the peer; its own without one
  uint32_t promiscuity = 0;
  uint8_t operstate = 0;  // IF_OPER_*
  uint8_t link_mode = 0;
  bool carrier = false;
  uint32_t carrier_changes = 0;
  uint32_t carrier_up_changes = 0;
  uint32_t carrier_down_changes = 0;
  std::string address;    // "02:fc:00:00:00:01", empty without one
  std::string broadcast;  // as address
  std::string alias;
  bool operator==(const RtnlLinkState&) const = default;
};

struct RtnlLink {
  RtnlLinkState state;
  LinkCounters counters;
};

/// Parses one datagram of a RTM_GETLINK dump and appends its links to `links`. Unknown attributes
/// and messages are skipped. Returns whether the dump ended here (NLMSG_DONE).
///
/// Errors: kInvalidArgument for a message or attribute that does not fit, or a link without index
/// or name; kAborted when the kernel says that the dump was interrupted by a change; NLMSG_ERROR by
/// its errno.
/// Source: rtnetlink(7), rtnl_fill_ifinfo() in net/core/rtnetlink.c
absl::StatusOr<bool> ParseRtnlLinks(absl::string_view datagram, std::vector<RtnlLink>& links);

}  // namespace fleet::agent
