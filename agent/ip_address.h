#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::agent {

/// An IPv4 or IPv6 address, as a value.
struct IpAddress {
  bool ipv6 = false;
  std::array<uint8_t, 16> bytes{};  // network order; IPv4 uses the first four

  /// From text such as "10.235.0.3" or "fd00::3"; nothing for anything else.
  static std::optional<IpAddress> Parse(absl::string_view text);
  /// From what the kernel hands out. An IPv4 address mapped into IPv6 becomes IPv4.
  static std::optional<IpAddress> FromSocket(const sockaddr_storage& address);

  std::string ToString() const;
  /// Whether the first `prefix_length` bits are those of `network`.
  bool In(const IpAddress& network, int prefix_length) const;
  /// Fills `address`; returns its size.
  socklen_t ToSocket(uint16_t port, sockaddr_storage& address) const;

  auto operator<=>(const IpAddress&) const = default;
};

}  // namespace fleet::agent
