#include "agent/credentials.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>

#include "common/client_credentials.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kRefusedBackoffMax = absl::Minutes(5);

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> LoadCredentials(
    const CredentialPaths& paths) {
  if (paths.insecure) return grpc::InsecureChannelCredentials();
  FLEET_ASSIGN_OR_RETURN(const ClientTls tls, ReadClientTls(paths.ca, paths.cert, paths.key));
  return CollectorCredentials(tls, Clock::Real());
}

absl::Duration BackoffMax(const absl::Status& refusal, absl::Duration usual) {
  const bool refused = absl::IsUnauthenticated(refusal) || absl::IsPermissionDenied(refusal);
  return refused ? std::max(usual, kRefusedBackoffMax) : usual;
}

}  // namespace fleet::agent
