#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace grpc {
class AuthContext;
}

namespace fleet::collector {

/// Who is at the other end of a channel.
struct Identity {
  std::string name;       // as the certificate says; empty without one
  bool verified = false;  // false: plaintext on loopback, believed whatever it says
};

/// Who the peer is, from its certificate; every service asks this one function. `insecure` is
/// whether the server itself speaks plaintext, which it does on loopback only.
/// Errors: kUnauthenticated, with the reason, for a peer without a usable name.
absl::StatusOr<Identity> IdentifyPeer(const grpc::AuthContext& context, bool insecure);

/// The name in a certificate: its first DNS name, or without any its common name. When the common
/// name is one of the DNS names, it is that one.
/// Errors: kUnauthenticated when there is none, or it is no host name.
absl::StatusOr<std::string> NameOfCertificate(absl::string_view common_name,
                                              const std::vector<std::string>& dns_names);

}  // namespace fleet::collector
