#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "collector/acceptor.h"
#include "collector/config.h"
#include "collector/identity.h"
#include "collector/server_tls.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace fleet::collector {

/// The gRPC server for agents and fleetctl: TLS with client certificates, or plaintext on loopback.
class GrpcServer {
 public:
  /// A path that swallows packets is noticed after both.
  static constexpr absl::Duration kKeepaliveTime = absl::Seconds(15);
  static constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(10);

  /// A client that says nothing: its handshake must be done within, and a connection without a call
  /// goes after.
  static constexpr absl::Duration kHandshakeTimeout = absl::Seconds(10);
  static constexpr absl::Duration kIdleTimeout = absl::Minutes(1);

  /// Serves the connections of `acceptor`. Without `tls` it speaks plaintext. All must outlive it.
  /// Errors: kFailedPrecondition when gRPC does not start.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const CollectorOptions& options, Acceptor& acceptor, const ServerTls* tls, Gate& gate,
      const std::vector<grpc::Service*>& services);
  /// Ends what still runs at once.
  ~GrpcServer();

  /// Takes no new calls and waits for those running, until `grace` has passed.
  void Stop(absl::Duration grace);

 private:
  GrpcServer(std::unique_ptr<grpc::Server> server, Acceptor& acceptor);

  const std::unique_ptr<grpc::Server> server_;
  Acceptor& acceptor_;
};

}  // namespace fleet::collector
