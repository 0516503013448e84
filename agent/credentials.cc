#include "agent/credentials.h"

#include <grpcpp/grpcpp.h>

#include "common/client_credentials.h"
#include "common/status_macros.h"

namespace fleet::agent {

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> LoadCredentials(
    const CredentialPaths& paths) {
  if (paths.insecure) return grpc::InsecureChannelCredentials();
  FLEET_ASSIGN_OR_RETURN(const ClientTls tls, ReadClientTls(paths.ca, paths.cert, paths.key));
  return CollectorCredentials(tls, Clock::Real());
}

}  // namespace fleet::agent
