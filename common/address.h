#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet {

/// Where a program listens or connects: a host and a port.
struct Address {
  std::string host;  // name or number, without brackets
  uint16_t port = 0;

  /// "10.235.0.4:10235", "[::1]:10235".
  std::string ToString() const;
  bool operator==(const Address&) const = default;
};

/// Parses "10.235.0.4:10235", "[::1]:0", "tempo:10235".
/// Errors: kInvalidArgument for a missing host or port, or a bare IPv6 address.
absl::StatusOr<Address> ParseAddress(absl::string_view text);

/// Whether `host` can only be this machine: "localhost", 127.0.0.0/8, ::1. Names are not looked up.
bool IsLoopback(absl::string_view host);

}  // namespace fleet
