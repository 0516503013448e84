#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::agent {

/// How packets to a node travel.
enum class TincPath {
  kSelf,         // this node
  kUnreachable,  // no path
  kUnknown,      // no key exchanged yet: nothing was sent
  kDirect,       // UDP straight to it
  kTcp,          // inside the meta connection to it
  kRelayed,      // through another node
};

/// One node as tincd 1.1 knows it.
struct TincNode {
  std::string name;
  std::string host;  // its real address; "MYSELF" for this node
  uint32_t status = 0;
  std::string nexthop;
  std::string via;
  int mtu = 0;                            // bytes; minmtu > 0 only while UDP works
  int mtu_min = 0;                        // bytes
  absl::Time changed;                     // when it became reachable or unreachable
  std::optional<absl::Duration> udp_rtt;  // of tincd's own UDP probes
  struct Traffic {
    uint64_t received_bytes = 0;
    uint64_t sent_bytes = 0;
    bool operator==(const Traffic&) const = default;
  };
  std::optional<Traffic> traffic;  // not told by early prereleases

  bool reachable() const { return (status & 0x10) != 0; }
  /// As `tinc info` classifies it.
  TincPath path() const;
};

/// A Subnet of a node, without the broadcast ones.
struct TincOwnedSubnet {
  std::string subnet;
  std::string owner;
  bool operator==(const TincOwnedSubnet&) const = default;
};

struct TincDump {
  std::vector<TincNode> nodes;
  std::vector<TincOwnedSubnet> subnets;
  bool nodes_complete = false;  // the closing line of the dump was there
  bool subnets_complete = false;
};

/// Parses what tincd 1.1 answers to DUMP_NODES and DUMP_SUBNETS on its control socket, such as
///   18 3 nodeb c5888a302717 10.98.0.2 port 655 0 0 0 0 700000c 8da nodeb nodeb 1 1439 1439 1439
///     1795453426 207 7 454 7 542                                          (one line, 25 words)
///   18 3
///   18 5 10.97.0.2 nodeb
///   18 5
/// where 1795453426 is seconds since 1970 and 207 the UDP round trip in microseconds (-1: none).
/// Lines of other requests are skipped. A node's line may be shorter (early prereleases), down to
/// 20 words, or longer.
///
/// Errors: kInvalidArgument for a node's line that cannot be used; kUnimplemented when it has too
/// few words (a tincd too old) or tincd refuses the request; kResourceExhausted over 65,536 lines.
/// Source: src/control.c, node.c and subnet.c of tinc 1.1pre18
absl::StatusOr<TincDump> ParseTincDump(absl::string_view text);

/// Parses the greeting of the control socket, such as
///   0 nodea 17.7
///   4 0 26463
/// and returns the node's name. Errors: kInvalidArgument for anything else.
absl::StatusOr<std::string> ParseTincGreeting(absl::string_view text);

}  // namespace fleet::agent
