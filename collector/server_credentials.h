#pragma once

#include <memory>

#include "collector/identity.h"
#include "collector/server_tls.h"

namespace grpc {
class ServerCredentials;
}

namespace fleet::collector {

/// TLS for the server: asks clients for a certificate without judging it in the handshake (a
/// refused handshake could not say why), presents what `tls` holds at each new connection, and lets
/// `gate` judge each call before its message is read and any handler runs. Both must outlive the
/// server.
std::shared_ptr<grpc::ServerCredentials> GateCredentials(const ServerTls& tls, Gate& gate);

}  // namespace fleet::collector
