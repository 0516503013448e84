#pragma once

#include "absl/strings/string_view.h"
#include "collector/identity.h"

struct grpc_auth_context;
namespace grpc {
class CallbackServerContext;
}

namespace fleet::collector {

/// What gRPC knows of the other end of a call.
Peer PeerOf(const grpc::CallbackServerContext& context);
/// The same before the call has reached anybody: without where it comes from.
Peer PeerOf(const grpc_auth_context* context);

}  // namespace fleet::collector
