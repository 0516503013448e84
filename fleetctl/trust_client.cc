#include "fleetctl/trust_client.h"

#include "common/status_macros.h"
#include "fleet/v1/trust.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
namespace {

template <typename Request, typename Reply>
using Method = grpc::Status (v1::Trust::Stub::*)(grpc::ClientContext*, const Request&, Reply*);

template <typename Request, typename Reply>
absl::StatusOr<Reply> Call(const ClientOptions& options, Method<Request, Reply> method,
                           const Request& request) {
  FLEET_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, OpenChannel(options));
  const auto stub = v1::Trust::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       absl::ToChronoMilliseconds(options.timeout));
  Reply reply;
  FLEET_RETURN_IF_ERROR(ToStatus(options, (stub.get()->*method)(&context, request, &reply)));
  return reply;
}

}  // namespace

absl::StatusOr<v1::EnrollReply> Enroll(const ClientOptions& options,
                                       const v1::EnrollRequest& request) {
  return Call(options, &v1::Trust::Stub::Enroll, request);
}

absl::StatusOr<v1::RevokeReply> Revoke(const ClientOptions& options,
                                       const v1::RevokeRequest& request) {
  return Call(options, &v1::Trust::Stub::Revoke, request);
}

absl::StatusOr<v1::RetireReply> Retire(const ClientOptions& options,
                                       const v1::RetireRequest& request) {
  return Call(options, &v1::Trust::Stub::Retire, request);
}

absl::StatusOr<v1::CertificatesReply> FetchCertificates(const ClientOptions& options) {
  return Call(options, &v1::Trust::Stub::Certificates, v1::CertificatesRequest());
}

}  // namespace fleet::ctl
