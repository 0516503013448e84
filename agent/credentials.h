#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class ChannelCredentials;
}

namespace fleet::agent {

/// How the agent proves who it is.
struct CredentialPaths {
  bool insecure = false;  // plaintext; the caller made sure that it is loopback
  std::string ca;         // PEM files
  std::string cert;
  std::string key;
};

/// Credentials for a channel to a collector, from the files as they are now: read them at each new
/// connection, and what `fleet-agent join` or a renewal wrote is used without a restart.
/// Errors: as ReadSecretFile; kInvalidArgument for texts that cannot be used.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> LoadCredentials(
    const CredentialPaths& paths);

}  // namespace fleet::agent
