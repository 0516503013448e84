#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/ip_address.h"
#include "agent/parse/inet_diag.h"
#include "agent/parse/tinc_control.h"
#include "agent/tinc_net.h"
#include "agent/tinc_presence.h"
#include "agent/tinc_probe.h"

namespace fleet::agent {

/// The established TCP connections of this host with `port` at one end: tincd's meta connections.
/// Needs no privilege. Errors: by errno.
absl::StatusOr<std::vector<TcpConnection>> ReadTcpConnections(bool ipv6, uint16_t port);

/// A probed peer, and where its meta connections may be.
struct TincMetaPeer {
  size_t target = 0;                 // its index among the probe's targets
  std::vector<IpAddress> addresses;  // real ones, outside the VPN
  std::vector<uint16_t> ports;       // tincd's, here or there
};

/// The addresses of a node's hosts/ file that are no names, and the one the hook told.
std::vector<IpAddress> TincMetaAddresses(const TincNet& net, const TincPresence& presence,
                                         const std::string& peer);
/// Our tincd's port and the peer's.
std::vector<uint16_t> TincMetaPorts(const TincNet& net, const std::string& peer);

/// The meta connections of all these peers.
std::vector<TcpConnection> SnapTincMeta(TincProber& prober, absl::Span<const TincMetaPeer> peers);

/// Whether the probe of a node travelled inside the meta connection to it, seen from
/// the byte counters of the connections before and after: kTcp or kDirect. kUnknown when there is
/// no such connection with it that lasted, or no answer.
TincPath InferTincPath(absl::Span<const TcpConnection> before,
                       absl::Span<const TcpConnection> after, const TincMetaPeer& peer,
                       const TincProbeResult& result);

}  // namespace fleet::agent
