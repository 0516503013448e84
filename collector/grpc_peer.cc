#include "collector/grpc_peer.h"

#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/numbers.h"
#include "collector/grpc_status.h"

namespace fleet::collector {
namespace {

std::string Value(const grpc::AuthContext& context, const char* property) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(property);
  return values.empty() ? std::string() : std::string(values[0].data(), values[0].size());
}

std::string Value(const grpc_auth_context* context, const char* property) {
  grpc_auth_property_iterator at = ::grpc_auth_context_find_properties_by_name(context, property);
  const grpc_auth_property* found = ::grpc_auth_property_iterator_next(&at);
  return found == nullptr ? std::string() : std::string(found->value, found->value_length);
}

}  // namespace

Peer PeerOf(const grpc::CallbackServerContext& context) {
  Peer peer;
  const std::string address = context.peer();
  peer.address = HostOfPeer(address);
  uint32_t port = 0;
  if (absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) {
    peer.port = static_cast<uint16_t>(port);
  }
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr) return peer;
  peer.certificate = Value(*auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  peer.chain = Value(*auth, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME);
  return peer;
}

Peer PeerOf(const grpc_auth_context* context) {
  Peer peer;
  peer.certificate = Value(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
  peer.chain = Value(context, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME);
  return peer;
}

}  // namespace fleet::collector
