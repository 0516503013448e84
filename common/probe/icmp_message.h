#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

/// Echo requests and their replies, of ICMP and ICMPv6, as a ping socket takes and gives them: the
/// kernel sets the identifier and, for ICMPv6, the checksum.
namespace fleet::probe {

/// A request of number `sequence`, which carries `payload`.
std::string MakeEchoRequest(bool v6, uint16_t sequence, absl::string_view payload);

struct EchoReply {
  uint16_t sequence = 0;
  absl::string_view payload;  // of what was parsed
};
/// Nothing for what is no echo reply.
std::optional<EchoReply> ParseEchoReply(bool v6, absl::string_view bytes);

}  // namespace fleet::probe
