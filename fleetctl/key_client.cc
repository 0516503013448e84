#include "fleetctl/key_client.h"

#include "common/status_macros.h"
#include "fleet/v1/keys.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
namespace {

template <typename Request, typename Reply>
using Method = grpc::Status (v1::Keys::Stub::*)(grpc::ClientContext*, const Request&, Reply*);

template <typename Request, typename Reply>
absl::StatusOr<Reply> Call(const ClientOptions& options, Method<Request, Reply> method,
                           const Request& request) {
  FLEET_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options));
  const auto stub = v1::Keys::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options.timeout));
  Reply reply;
  FLEET_RETURN_IF_ERROR(ToStatus(options, (stub.get()->*method)(&context, request, &reply)));
  return reply;
}

}  // namespace

absl::StatusOr<v1::NewKeyReply> NewKey(const ClientOptions& options,
                                       const v1::NewKeyRequest& request) {
  return Call(options, &v1::Keys::Stub::New, request);
}

absl::StatusOr<v1::ListKeysReply> ListKeys(const ClientOptions& options) {
  return Call(options, &v1::Keys::Stub::List, v1::ListKeysRequest());
}

absl::StatusOr<v1::RevokeKeyReply> RevokeKey(const ClientOptions& options,
                                             const v1::RevokeKeyRequest& request) {
  return Call(options, &v1::Keys::Stub::Revoke, request);
}

}  // namespace fleet::ctl
