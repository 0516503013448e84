#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "fleet/v1/keys.pb.h"
#include "fleetctl/client.h"

namespace fleet::ctl {

/// The calls of Keys. Errors: as FetchStatus; kInvalidArgument, kAlreadyExists and kNotFound with
/// the collector's own words.
absl::StatusOr<v1::NewKeyReply> NewKey(const ClientOptions& options,
                                       const v1::NewKeyRequest& request);
absl::StatusOr<v1::ListKeysReply> ListKeys(const ClientOptions& options);
absl::StatusOr<v1::RevokeKeyReply> RevokeKey(const ClientOptions& options,
                                             const v1::RevokeKeyRequest& request);

}  // namespace fleet::ctl
