#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/ip_address.h"
#include "agent/parse/inet_diag.h"
#include "common/clock.h"

namespace fleet::agent {

/// Bytes of the small probe's payload.
inline constexpr int kSmallProbeBytes = 64;

struct TincProbeTarget {
  IpAddress address;      // inside the VPN
  std::string interface;  // packets leave by it alone; empty: by whatever route there is
  uint16_t port = 10235;  // of the peer agent's UDP echo, and of the TCP connect
};

/// What one small and one big packet to a peer showed.
struct TincProbeResult {
  std::optional<absl::Duration> small;  // round trip
  std::optional<absl::Duration> big;
  std::optional<absl::Duration> tcp;  // only tried where UDP was silent or refused by another
  int big_packet_bytes = 0;           // the big one's IP packet; 0: none was sent
  bool echo = false;                  // the peer's agent answered
  bool unreachable = false;           // an ICMP unreachable came instead: tincd has no path
  absl::Status sent;                  // not ok: nothing could be sent, for a reason of our own

  bool reachable() const { return small || big || tcp; }
};

/// Sends real packets through a tunnel. Used by one thread at a time.
class TincProber {
 public:
  virtual ~TincProber() = default;
  /// One result per target, in order, within `timeout`.
  virtual std::vector<TincProbeResult> Probe(absl::Span<const TincProbeTarget> targets,
                                             absl::Duration timeout) = 0;
  /// As agent/tinc_meta.h does; empty when the kernel does not tell.
  virtual std::vector<TcpConnection> MetaConnections(bool ipv6, uint16_t port) = 0;
};

/// Asks every target at once: 64 bytes and a packet of the path's MTU (not to be fragmented) to the
/// UDP echo. A port unreachable from the peer itself proves the path as well as an echo does. Where
/// UDP stays silent, or is refused by somebody else, a TCP connect decides: accepted or reset
/// proves the path, an ICMP unreachable or silence is a loss. Waits at most 1.5 s.
std::unique_ptr<TincProber> MakeTincProber();

}  // namespace fleet::agent
