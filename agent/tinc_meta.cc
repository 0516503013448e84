#include "agent/tinc_meta.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "absl/status/status.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr uint32_t kEstablished = 1U
                                  << 1;  // TCP_ESTABLISHED, whose header clashes with linux/tcp.h
constexpr size_t kConnectionsMax = 10'000;
constexpr size_t kDumpsMax = 8;
constexpr uint16_t kTincPort = 655;
constexpr size_t kDatagramBytesMax = 64 << 10;

/// The kernel's filter "port >= P and port <= P" on one end. What falls through the last operation
/// with nothing left is kept; a jump four bytes past the end drops.
struct PortFilter {
  inet_diag_bc_op at_least, at_least_port, at_most, at_most_port;
};
constexpr unsigned char kOp = 2 * sizeof(inet_diag_bc_op);

PortFilter MakeFilter(bool source, uint16_t port) {
  const auto ge = static_cast<unsigned char>(source ? INET_DIAG_BC_S_GE : INET_DIAG_BC_D_GE);
  const auto le = static_cast<unsigned char>(source ? INET_DIAG_BC_S_LE : INET_DIAG_BC_D_LE);
  return {{ge, kOp, 2 * kOp + 4}, {0, 0, port}, {le, kOp, kOp + 4}, {0, 0, port}};
}

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 body;
  nlattr attribute;
  PortFilter filter;
};

absl::Status Ask(int fd, bool ipv6, bool source, uint16_t port) {
  Request request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = ipv6 ? AF_INET6 : AF_INET;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_ext = 1 << (INET_DIAG_INFO - 1);
  request.body.idiag_states = kEstablished;
  request.attribute.nla_type = INET_DIAG_REQ_BYTECODE;
  request.attribute.nla_len = sizeof(nlattr) + sizeof(PortFilter);
  request.filter = MakeFilter(source, port);
  if (::send(fd, &request, sizeof(request), 0) < 0) {
    return absl::ErrnoToStatus(errno, "ask sock_diag");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<TcpConnection>> ReadTcpConnections(bool ipv6, uint16_t port) {
  const ScopedFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "open sock_diag");
  // The kernel answers while it is asked; this is for the day it does not.
  const timeval wait{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  std::vector<TcpConnection> connections;
  std::string buffer(kDatagramBytesMax, '\0');
  for (const bool source : {true, false}) {
    FLEET_RETURN_IF_ERROR(Ask(fd.get(), ipv6, source, port));
    bool done = false;
    while (!done && connections.size() < kConnectionsMax) {
      const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return absl::ErrnoToStatus(errno, "read sock_diag");
      FLEET_ASSIGN_OR_RETURN(const InetDiag diag,
                             ParseInetDiag({buffer.data(), static_cast<size_t>(size)}));
      connections.insert(connections.end(), diag.connections.begin(), diag.connections.end());
      done = diag.done;
    }
  }
  return connections;
}

std::vector<IpAddress> TincMetaAddresses(const TincNet& net, const TincPresence& presence,
                                         const std::string& peer) {
  std::vector<IpAddress> addresses;
  if (const auto host = net.hosts.find(peer); host != net.hosts.end()) {
    for (const std::string& text : host->second.addresses) {
      if (const auto address = IpAddress::Parse(text)) addresses.push_back(*address);
    }
  }
  if (const auto told = presence.addresses.find(peer); told != presence.addresses.end()) {
    if (const auto address = IpAddress::Parse(told->second)) addresses.push_back(*address);
  }
  return addresses;
}

std::vector<uint16_t> TincMetaPorts(const TincNet& net, const std::string& peer) {
  const uint16_t ours = net.own.port.value_or(net.config.port.value_or(kTincPort));
  const auto host = net.hosts.find(peer);
  const uint16_t theirs =
      host == net.hosts.end() ? kTincPort : host->second.port.value_or(kTincPort);
  if (ours == theirs) return {ours};
  return {ours, theirs};
}

std::vector<TcpConnection> SnapTincMeta(TincProber& prober, absl::Span<const TincMetaPeer> peers) {
  std::set<std::pair<bool, uint16_t>> asked;
  for (const TincMetaPeer& peer : peers) {
    for (const IpAddress& address : peer.addresses) {
      for (const uint16_t port : peer.ports) asked.emplace(address.ipv6, port);
    }
  }
  std::vector<TcpConnection> connections;
  size_t dumps = 0;
  for (const auto& [ipv6, port] : asked) {
    if (++dumps > kDumpsMax) break;
    const std::vector<TcpConnection> some = prober.MetaConnections(ipv6, port);
    connections.insert(connections.end(), some.begin(), some.end());
  }
  return connections;
}

TincPath InferTincPath(absl::Span<const TcpConnection> before,
                       absl::Span<const TcpConnection> after, const TincMetaPeer& peer,
                       const TincProbeResult& result) {
  TincPath path = TincPath::kUnknown;
  if (!result.small || result.big_packet_bytes == 0) return path;
  // Compression may take off a little; what else goes over a quiet meta connection is far less.
  const double enough = 0.7 * result.big_packet_bytes;
  for (const TcpConnection& now : after) {
    const IpAddress remote{now.ipv6, now.remote};
    if (std::find(peer.addresses.begin(), peer.addresses.end(), remote) == peer.addresses.end()) {
      continue;
    }
    const auto then = std::find_if(before.begin(), before.end(), [&](const TcpConnection& c) {
      return c.local == now.local && c.remote == now.remote && c.local_port == now.local_port &&
             c.remote_port == now.remote_port;
    });
    if (then == before.end()) continue;
    // Each direction is relayed or not by itself.
    const bool relayed = static_cast<double>(now.sent_bytes - then->sent_bytes) >= enough ||
                         static_cast<double>(now.received_bytes - then->received_bytes) >= enough;
    if (relayed) return TincPath::kTcp;
    path = TincPath::kDirect;
  }
  return path;
}

}  // namespace fleet::agent
