#include "agent/parse/rtnl_link.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kAlignment = 4;
constexpr size_t kAddressBytesMax = 32;  // MAX_ADDR_LEN

size_t Aligned(size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

/// A T at the start of `bytes`, which may be shorter: an older kernel's structure lacks the tail.
template <typename T>
T Load(absl::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof(value), bytes.size()));
  return value;
}

std::string Text(absl::string_view bytes) { return std::string(bytes.substr(0, bytes.find('\0'))); }

std::string Address(absl::string_view bytes) {
  constexpr absl::string_view kDigits = "0123456789abcdef";
  std::string text;
  bytes = bytes.substr(0, kAddressBytesMax);
  text.reserve(3 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!text.empty()) text.push_back(':');
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

LinkCounters Counters(const rtnl_link_stats64& stats) {
  LinkCounters counters;
  counters.receive_bytes = stats.rx_bytes;
  counters.receive_packets = stats.rx_packets;
  counters.receive_errs = stats.rx_errors;
  counters.receive_drop = stats.rx_dropped + stats.rx_missed_errors;
  counters.receive_fifo = stats.rx_fifo_errors;
  counters.receive_frame =
      stats.rx_length_errors + stats.rx_over_errors + stats.rx_crc_errors + stats.rx_frame_errors;
  counters.receive_compressed = stats.rx_compressed;
  counters.receive_multicast = stats.multicast;
  counters.transmit_bytes = stats.tx_bytes;
  counters.transmit_packets = stats.tx_packets;
  counters.transmit_errs = stats.tx_errors;
  counters.transmit_drop = stats.tx_dropped;
  counters.transmit_fifo = stats.tx_fifo_errors;
  counters.transmit_colls = stats.collisions;
  counters.transmit_carrier = stats.tx_carrier_errors + stats.tx_aborted_errors +
                              stats.tx_window_errors + stats.tx_heartbeat_errors;
  counters.transmit_compressed = stats.tx_compressed;
  counters.receive_nohandler = stats.rx_nohandler;
  return counters;
}

void ReadAttribute(uint16_t type, absl::string_view value, RtnlLink& link) {
  RtnlLinkState& state = link.state;
  switch (type) {
    case IFLA_IFNAME:
      state.name = Text(value);
      break;
    case IFLA_IFALIAS:
      state.alias = Text(value);
      break;
    case IFLA_ADDRESS:
      state.address = Address(value);
      break;
    case IFLA_BROADCAST:
      state.broadcast = Address(value);
      break;
    case IFLA_MTU:
      state.mtu_bytes = Load<uint32_t>(value);
      break;
    case IFLA_LINK:
      state.link = Load<int32_t>(value);
      break;
    case IFLA_TXQLEN:
      state.transmit_queue_length = Load<uint32_t>(value);
      break;
    case IFLA_GROUP:
      state.group = Load<uint32_t>(value);
      break;
    case IFLA_PROMISCUITY:
      state.promiscuity = Load<uint32_t>(value);
      break;
    case IFLA_OPERSTATE:
      state.operstate = Load<uint8_t>(value);
      break;
    case IFLA_LINKMODE:
      state.link_mode = Load<uint8_t>(value);
      break;
    case IFLA_CARRIER:
      state.carrier = Load<uint8_t>(value) != 0;
      break;
    case IFLA_CARRIER_CHANGES:
      state.carrier_changes = Load<uint32_t>(value);
      break;
    case IFLA_CARRIER_UP_COUNT:
      state.carrier_up_changes = Load<uint32_t>(value);
      break;
    case IFLA_CARRIER_DOWN_COUNT:
      state.carrier_down_changes = Load<uint32_t>(value);
      break;
    case IFLA_STATS64:
      link.counters = Counters(Load<rtnl_link_stats64>(value));
      break;
    default:
      break;
  }
}

absl::StatusOr<RtnlLink> ParseLink(absl::string_view body) {
  if (body.size() < sizeof(ifinfomsg)) return absl::InvalidArgumentError("short link message");
  const auto header = Load<ifinfomsg>(body);
  RtnlLink link;
  link.state.index = header.ifi_index;
  link.state.link = header.ifi_index;
  link.state.flags = header.ifi_flags;
  link.state.type = header.ifi_type;
  body.remove_prefix(Aligned(sizeof(ifinfomsg)));
  while (body.size() >= sizeof(rtattr)) {
    const auto attribute = Load<rtattr>(body);
    if (attribute.rta_len < sizeof(rtattr) || attribute.rta_len > body.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("attribute of ", attribute.rta_len, " bytes in ", body.size()));
    }
    ReadAttribute(attribute.rta_type & NLA_TYPE_MASK,
                  body.substr(sizeof(rtattr), attribute.rta_len - sizeof(rtattr)), link);
    body.remove_prefix(std::min(body.size(), Aligned(attribute.rta_len)));
  }
  if (link.state.index <= 0 || link.state.name.empty()) {
    return absl::InvalidArgumentError("link without index or name");
  }
  return link;
}

}  // namespace

absl::StatusOr<bool> ParseRtnlLinks(absl::string_view datagram, std::vector<RtnlLink>& links) {
  while (!datagram.empty()) {
    const auto header = Load<nlmsghdr>(datagram);
    if (datagram.size() < sizeof(nlmsghdr) || header.nlmsg_len < sizeof(nlmsghdr) ||
        header.nlmsg_len > datagram.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("netlink message of ", header.nlmsg_len, " bytes in ", datagram.size()));
    }
    const absl::string_view body =
        datagram.substr(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
      return absl::AbortedError("a link changed while they were listed");
    }
    if (header.nlmsg_type == NLMSG_DONE) return true;
    if (header.nlmsg_type == NLMSG_ERROR) {
      const int error = Load<nlmsgerr>(body).error;
      return absl::ErrnoToStatus(error < 0 && error > -4096 ? -error : EPROTO, "list links");
    }
    if (header.nlmsg_type == RTM_NEWLINK) {
      FLEET_ASSIGN_OR_RETURN(RtnlLink link, ParseLink(body));
      links.push_back(std::move(link));
    }
    datagram.remove_prefix(std::min(datagram.size(), Aligned(header.nlmsg_len)));
  }
  return false;
}

}  // namespace fleet::agent
