#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "fleet/v1/trust.pb.h"
#include "fleetctl/client.h"

namespace fleet::ctl {

/// The calls of Trust that are an admin's. Errors: as FetchStatus; kNotFound and
/// kFailedPrecondition with the collector's own words.
absl::StatusOr<v1::EnrollReply> Enroll(const ClientOptions& options,
                                       const v1::EnrollRequest& request);
absl::StatusOr<v1::RevokeReply> Revoke(const ClientOptions& options,
                                       const v1::RevokeRequest& request);
absl::StatusOr<v1::RetireReply> Retire(const ClientOptions& options,
                                       const v1::RetireRequest& request);
absl::StatusOr<v1::CertificatesReply> FetchCertificates(const ClientOptions& options);

}  // namespace fleet::ctl
