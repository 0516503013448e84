#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One TCP connection as the kernel tells it by sock_diag.
struct TcpConnection {
  bool ipv6 = false;
  std::array<uint8_t, 16> local{};  // network order; IPv4 uses the first four
  std::array<uint8_t, 16> remote{};
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
  uint64_t sent_bytes = 0;  // payload, with what was sent again
  uint64_t received_bytes = 0;
  bool operator==(const TcpConnection&) const = default;
};

struct InetDiag {
  std::vector<TcpConnection> connections;
  bool done = false;  // NLMSG_DONE was there: the dump ends here
};

/// Parses one datagram of a SOCK_DIAG_BY_FAMILY dump for TCP that asked for INET_DIAG_INFO:
/// netlink messages, each an inet_diag_msg with attributes. Other messages and attributes are
/// skipped; a connection without usable INET_DIAG_INFO (kernels before 4.19) counts 0 bytes.
///
/// Errors: kInvalidArgument for a message that is cut; by errno for an NLMSG_ERROR.
/// Source: sock_diag(7); linux/inet_diag.h
absl::StatusOr<InetDiag> ParseInetDiag(absl::string_view datagram);

}  // namespace fleet::agent
