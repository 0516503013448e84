#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace fleet::collector {

/// The same status in gRPC's type; both number the codes alike.
inline grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

/// The host in what gRPC calls a peer: "ipv4:10.235.0.3:40772", "ipv6:%5B::1%5D:40772".
std::string HostOfPeer(absl::string_view peer);

}  // namespace fleet::collector
