#include "agent/parse/inet_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/status/status.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

size_t Aligned(size_t size) { return (size + 3) & ~size_t{3}; }

absl::Status Cut() { return absl::InvalidArgumentError("a netlink message is cut"); }

/// Takes the byte counters from the attributes that follow the message.
absl::Status ReadAttributes(absl::string_view bytes, TcpConnection& connection) {
  while (bytes.size() >= sizeof(nlattr)) {
    nlattr attribute;
    std::memcpy(&attribute, bytes.data(), sizeof(attribute));
    if (attribute.nla_len < sizeof(attribute) || attribute.nla_len > bytes.size()) return Cut();
    if ((attribute.nla_type & NLA_TYPE_MASK) == INET_DIAG_INFO) {
      tcp_info info{};  // an older kernel's is shorter, a newer one's longer
      std::memcpy(&info, bytes.data() + sizeof(attribute),
                  std::min(sizeof(info), attribute.nla_len - sizeof(attribute)));
      connection.sent_bytes = info.tcpi_bytes_sent;
      connection.received_bytes = info.tcpi_bytes_received;
    }
    bytes.remove_prefix(std::min(bytes.size(), Aligned(attribute.nla_len)));
  }
  return absl::OkStatus();
}

absl::StatusOr<TcpConnection> ReadConnection(absl::string_view payload) {
  inet_diag_msg message;
  if (payload.size() < sizeof(message)) return Cut();
  std::memcpy(&message, payload.data(), sizeof(message));
  TcpConnection connection;
  connection.ipv6 = message.idiag_family == AF_INET6;
  const size_t size = connection.ipv6 ? 16 : 4;
  std::memcpy(connection.local.data(), message.id.idiag_src, size);
  std::memcpy(connection.remote.data(), message.id.idiag_dst, size);
  connection.local_port = ntohs(message.id.idiag_sport);
  connection.remote_port = ntohs(message.id.idiag_dport);
  FLEET_RETURN_IF_ERROR(ReadAttributes(
      payload.substr(std::min(payload.size(), Aligned(sizeof(message)))), connection));
  return connection;
}

}  // namespace

absl::StatusOr<InetDiag> ParseInetDiag(absl::string_view datagram) {
  InetDiag diag;
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, datagram.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > datagram.size()) return Cut();
    const absl::string_view payload =
        datagram.substr(sizeof(header), header.nlmsg_len - sizeof(header));
    if (header.nlmsg_type == NLMSG_DONE) {
      diag.done = true;
      return diag;
    }
    if (header.nlmsg_type == NLMSG_ERROR) {
      nlmsgerr error;
      if (payload.size() < sizeof(error)) return Cut();
      std::memcpy(&error, payload.data(), sizeof(error));
      const bool known = error.error < 0 && error.error > std::numeric_limits<int>::min();
      return absl::ErrnoToStatus(known ? -error.error : EIO, "sock_diag");
    }
    if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
      FLEET_ASSIGN_OR_RETURN(const TcpConnection connection, ReadConnection(payload));
      diag.connections.push_back(connection);
    }
    datagram.remove_prefix(std::min(datagram.size(), Aligned(header.nlmsg_len)));
  }
  if (!datagram.empty()) return Cut();
  return diag;
}

}  // namespace fleet::agent
