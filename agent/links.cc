#include "agent/links.h"

#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kExtraAgeMax = absl::Seconds(60);
constexpr int kDumpsMax = 3;         // tries while links come and go
constexpr int kDatagramsMax = 4096;  // of one dump
constexpr size_t kDatagramBytesMax = 64 << 10;

/// Kernel names of IF_OPER_*, as operstate_show() in net/core/net-sysfs.c prints them.
constexpr absl::string_view kOperstates[] = {"unknown", "notpresent", "down", "lowerlayerdown",
                                             "testing", "dormant",    "up"};

ScopedFd OpenNetlink() {
  ScopedFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  // The kernel answers a dump at once; the timeout is for a kernel that does not.
  const timeval timeout = {.tv_sec = 1, .tv_usec = 0};
  if (fd.valid()) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  return fd;
}

/// Asks for all links and reads the answer. kAborted when they changed meanwhile. After an error
/// some of the answer may still wait in the socket.
absl::StatusOr<std::vector<RtnlLink>> DumpLinksFrom(int fd, std::string& datagram) {
  struct {
    nlmsghdr header;
    ifinfomsg body;
    rtattr mask_header;
    uint32_t mask;
  } request = {};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.mask_header.rta_len = sizeof(rtattr) + sizeof(uint32_t);
  request.mask_header.rta_type = IFLA_EXT_MASK;
  request.mask = RTEXT_FILTER_SKIP_STATS;  // of IPv6; those of the link stay
  if (::send(fd, &request, sizeof(request), 0) < 0) {
    return absl::ErrnoToStatus(errno, "ask for links");
  }

  std::vector<RtnlLink> links;
  datagram.resize(kDatagramBytesMax);
  for (int i = 0; i < kDatagramsMax; ++i) {
    const ssize_t size = ::recv(fd, datagram.data(), datagram.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, "read links");
    if (static_cast<size_t>(size) > datagram.size()) {
      return absl::ResourceExhaustedError(absl::StrCat("netlink datagram of ", size, " bytes"));
    }
    FLEET_ASSIGN_OR_RETURN(
        const bool done,
        ParseRtnlLinks(absl::string_view(datagram.data(), static_cast<size_t>(size)), links));
    if (done) return links;
  }
  return absl::ResourceExhaustedError("netlink dump does not end");
}

Link FromRtnl(const RtnlLink& rtnl) {
  const RtnlLinkState& state = rtnl.state;
  Link link;
  link.name = state.name;
  link.admin_up = (state.flags & IFF_UP) != 0;
  link.operstate =
      std::string(kOperstates[state.operstate < std::size(kOperstates) ? state.operstate : 0]);
  link.address = state.address;
  link.broadcast = state.broadcast;
  link.alias = state.alias;
  if (link.admin_up) {
    link.carrier = state.carrier ? 1 : 0;
    link.dormant = (state.flags & IFF_DORMANT) != 0 ? 1 : 0;
  }
  link.carrier_changes = state.carrier_changes;
  link.carrier_up_changes = state.carrier_up_changes;
  link.carrier_down_changes = state.carrier_down_changes;
  link.index = state.index;
  link.link = state.link;
  link.link_mode = state.link_mode;
  link.mtu_bytes = state.mtu_bytes;
  link.group = state.group;
  link.transmit_queue_length = state.transmit_queue_length;
  link.type = state.type;
  link.counters = rtnl.counters;
  return link;
}

}  // namespace

absl::StatusOr<std::vector<RtnlLink>> LinkReader::DumpLinks() {
  if (!netlink_.valid()) netlink_ = OpenNetlink();
  if (!netlink_.valid()) return absl::ErrnoToStatus(errno, "open netlink");
  absl::StatusOr<std::vector<RtnlLink>> links = DumpLinksFrom(netlink_.get(), datagram_);
  if (!links.ok()) netlink_.Reset();
  return links;
}

absl::StatusOr<std::vector<Link>> LinkReader::Read(SteadyTime now) {
  if (fs_.live()) {
    absl::StatusOr<std::vector<Link>> links = ReadNetlink(now);
    if (links.ok()) return links;
  }
  return ReadSysfs();
}

absl::StatusOr<std::vector<Link>> LinkReader::ReadNetlink(SteadyTime now) {
  absl::StatusOr<std::vector<RtnlLink>> dump = DumpLinks();
  for (int i = 1; i < kDumpsMax && absl::IsAborted(dump.status()); ++i) dump = DumpLinks();
  FLEET_RETURN_IF_ERROR(dump.status());

  std::map<int32_t, Cached> cache;
  std::vector<Link> links;
  links.reserve(dump->size());
  for (RtnlLink& rtnl : *dump) {
    Link link = FromRtnl(rtnl);
    const auto known = cache_.find(rtnl.state.index);
    const bool fresh = known != cache_.end() && known->second.state == rtnl.state &&
                       now - known->second.read_at < kExtraAgeMax;
    Cached cached = fresh ? std::move(known->second)
                          : Cached{std::move(rtnl.state), ReadExtra(link.name, link.admin_up), now};
    link.physical = cached.extra.physical;
    link.duplex = cached.extra.duplex;
    link.address_assign_type = cached.extra.address_assign_type;
    link.device_id = cached.extra.device_id;
    link.flags = cached.extra.flags;
    link.name_assign_type = cached.extra.name_assign_type;
    link.speed_megabits = cached.extra.speed_megabits;
    cache.emplace(static_cast<int32_t>(*link.index), std::move(cached));
    links.push_back(std::move(link));
  }
  cache_ = std::move(cache);
  return links;
}

absl::StatusOr<std::vector<Link>> LinkReader::ReadSysfs() const {
  FLEET_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs_.List("sys/class/net"));
  std::vector<NetDevLine> counters;
  if (const auto text = fs_.Read("proc/net/dev"); text.ok()) {
    FLEET_ASSIGN_OR_RETURN(counters, ParseNetDev(*text));
  }
  std::vector<Link> links;
  for (const std::string& name : names) {
    Link link;
    link.name = name;
    link.index = Number(name, "ifindex");
    if (!link.index) continue;  // bonding_masters, or gone meanwhile
    link.operstate = Text(name, "operstate");
    link.address = Text(name, "address");
    link.broadcast = Text(name, "broadcast");
    link.alias = Text(name, "ifalias");
    link.carrier = Number(name, "carrier");
    link.carrier_changes = Number(name, "carrier_changes");
    link.carrier_up_changes = Number(name, "carrier_up_count");
    link.carrier_down_changes = Number(name, "carrier_down_count");
    link.dormant = Number(name, "dormant");
    link.link = Number(name, "iflink");
    link.link_mode = Number(name, "link_mode");
    link.mtu_bytes = Number(name, "mtu");
    link.group = Number(name, "netdev_group");
    link.transmit_queue_length = Number(name, "tx_queue_len");
    link.type = Number(name, "type");
    Extra extra = ReadExtra(name, true);
    link.admin_up = (extra.flags.value_or(IFF_UP) & IFF_UP) != 0;
    link.physical = extra.physical;
    link.duplex = std::move(extra.duplex);
    link.address_assign_type = extra.address_assign_type;
    link.device_id = extra.device_id;
    link.flags = extra.flags;
    link.name_assign_type = extra.name_assign_type;
    link.speed_megabits = extra.speed_megabits;
    for (const NetDevLine& line : counters) {
      if (line.device != name) continue;
      link.counters = line.counters;
      link.counters->receive_nohandler =
          static_cast<uint64_t>(Number(name, "statistics/rx_nohandler").value_or(0));
    }
    links.push_back(std::move(link));
  }
  return links;
}

LinkReader::Extra LinkReader::ReadExtra(const std::string& name, bool admin_up) const {
  Extra extra;
  extra.physical = fs_.Exists(absl::StrCat("sys/class/net/", name, "/device"));
  extra.address_assign_type = Number(name, "addr_assign_type");
  extra.device_id = Number(name, "dev_id");
  extra.flags = Number(name, "flags");
  extra.name_assign_type = Number(name, "name_assign_type");
  if (admin_up) {  // refused by the kernel otherwise
    extra.duplex = Text(name, "duplex");
    extra.speed_megabits = Number(name, "speed");
  }
  return extra;
}

std::optional<int64_t> LinkReader::Number(const std::string& name,
                                          absl::string_view attribute) const {
  const std::string text = Text(name, attribute);
  int64_t value = 0;
  if (absl::StartsWith(text, "0x") ? absl::SimpleHexAtoi(text, &value)
                                   : absl::SimpleAtoi(text, &value)) {
    return value;
  }
  return std::nullopt;
}

std::string LinkReader::Text(const std::string& name, absl::string_view attribute) const {
  // Whatever the reason, an attribute that cannot be read is one that this link does not have.
  return fs_.ReadTrimmed(absl::StrCat("sys/class/net/", name, "/", attribute)).value_or("");
}

}  // namespace fleet::agent
