#include "fleetctl/trust_client.h"

#include "fleet/v1/trust.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
absl::StatusOr<v1::EnrollReply> Enroll(const ClientOptions& options,
                                       const v1::EnrollRequest& request) {
  return CallOnce<v1::Trust>(options, &v1::Trust::Stub::Enroll, request);
}

absl::StatusOr<v1::RevokeReply> Revoke(const ClientOptions& options,
                                       const v1::RevokeRequest& request) {
  return CallOnce<v1::Trust>(options, &v1::Trust::Stub::Revoke, request);
}

absl::StatusOr<v1::RetireReply> Retire(const ClientOptions& options,
                                       const v1::RetireRequest& request) {
  return CallOnce<v1::Trust>(options, &v1::Trust::Stub::Retire, request);
}

absl::StatusOr<v1::CertificatesReply> FetchCertificates(const ClientOptions& options) {
  return CallOnce<v1::Trust>(options, &v1::Trust::Stub::Certificates, v1::CertificatesRequest());
}

}  // namespace fleet::ctl
