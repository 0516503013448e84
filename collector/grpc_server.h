#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "collector/config.h"
#include "common/address.h"

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

  /// Errors: kFailedPrecondition, naming the address, when it cannot listen or the certificates
  /// are of no use.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(
      const CollectorOptions& options, const std::vector<grpc::Service*>& services);
  /// Ends what still runs at once.
  ~GrpcServer();

  /// What it listens on; port 0 became one.
  const Address& address() const { return address_; }
  /// Takes no new calls and waits for those running, until `grace` has passed.
  void Stop(absl::Duration grace);

 private:
  GrpcServer(std::unique_ptr<grpc::Server> server, Address address);

  const std::unique_ptr<grpc::Server> server_;
  const Address address_;
};

}  // namespace fleet::collector
