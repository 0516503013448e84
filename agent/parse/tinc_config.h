#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One `Subnet =` of a node: IPv4 or IPv6.
struct TincSubnet {
  std::string address;    // as written, "10.235.0.3" or "fd00::3"
  int prefix_length = 0;  // bits; 32 or 128 when none is written
  bool ipv6 = false;
  /// Whether it names exactly one address: then it is the node's own.
  bool is_host() const { return prefix_length == (ipv6 ? 128 : 32); }
  bool operator==(const TincSubnet&) const = default;
};

/// What fleet wants to know of tinc.conf or of one hosts/ file.
struct TincConfig {
  std::string name;                     // Name; may be "$HOST" or another variable
  std::string interface;                // Interface
  std::vector<std::string> connect_to;  // ConnectTo, in order
  std::vector<std::string> addresses;   // Address without its port: a public name or IP
  std::vector<TincSubnet> subnets;      // Subnet; MAC subnets are dropped
  std::optional<uint16_t> port;         // Port
  bool operator==(const TincConfig&) const = default;
};

/// Parses tinc.conf or hosts/NAME, such as
///   Name = tempo
///   ConnectTo=parasect
///   Subnet 10.235.0.4/32#10
///   -----BEGIN RSA PUBLIC KEY-----
/// Keys are case-insensitive, "=" is optional, "#" starts a comment line, keys in PEM form are
/// passed over. Other keys are skipped.
///
/// Errors: kInvalidArgument for a known key whose value cannot be used, or more than 10,000 values.
/// Source: tinc.conf(5); src/conf.c and src/subnet_parse.c of tinc 1.0.36
absl::StatusOr<TincConfig> ParseTincConfig(absl::string_view text);

/// Parses "10.235.0.3", "10.235.0.0/16#10" or "fd00::3/64".
/// Errors: kInvalidArgument for anything else, a MAC address too.
absl::StatusOr<TincSubnet> ParseTincSubnet(absl::string_view text);

/// Whether `name` may name a node: letters, digits and underscores, at most 255.
bool IsTincNodeName(absl::string_view name);

/// A pid file. tinc 1.0 writes the first number only, over what a longer one of a killed tincd left
/// there ("312\n0\n" over "32760\n"): the first line counts. 1.1 writes a line such as
///   26463 F6BB…64 hex digits… 127.0.0.1 port 655
struct TincPid {
  int pid = 0;
  std::string cookie;  // 1.1: grants everything the control socket can do; never shown
  bool operator==(const TincPid&) const = default;
};

/// Errors: kInvalidArgument without a positive pid, or with a second word that is not a cookie.
/// Source: src/pidfile.c of tinc 1.0.36, src/control.c of 1.1pre18
absl::StatusOr<TincPid> ParseTincPid(absl::string_view text);

}  // namespace fleet::agent
