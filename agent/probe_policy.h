#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/ip_address.h"
#include "common/probe/probe.h"

namespace fleet::agent {

/// What this host may be asked to look at, by its own agent.yaml and nobody else's word. Without an
/// entry: public addresses, by GET, HEAD and questions that send nothing of the asker's choice.
/// Immutable, cheap to copy, thread-safe.
class ProbePolicy {
 public:
  /// Nothing beyond the default.
  ProbePolicy() = default;

  /// Each entry lets one more thing be: an address or network with or without a port
  /// ("10.235.0.4:9000", "10.235.0.0/16", "[fd00::4]:80", "fd00::/8"); or "METHOD URL", where the
  /// URL stands for all that begin with it ("POST https://chitter.xyz/api/"); or "SEND host:port"
  /// for a conversation over TCP or TLS.
  /// Errors: kInvalidArgument, with the entry and what was expected.
  static absl::StatusOr<ProbePolicy> Parse(absl::Span<const std::string> allow);

  /// Why a probe may not be asked at all, with the line that would let it; empty when it may. Its
  /// addresses are judged by guard(), when they are known.
  std::string Refuse(const probe::Spec& spec) const;

  /// Judges each address right before it is connected to.
  probe::AddressGuard guard() const;

 private:
  struct Network {
    IpAddress address;
    int bits = 0;
    std::optional<uint16_t> port;
  };
  struct Request {
    std::string method;
    std::string target;  // what it begins with
  };

  static absl::StatusOr<Network> ParseNetwork(absl::string_view text);
  bool AllowsAddress(const IpAddress& address, int port) const;
  bool AllowsRequest(absl::string_view method, absl::string_view target) const;

  std::vector<Network> networks_;
  std::vector<Request> requests_;
};

}  // namespace fleet::agent
