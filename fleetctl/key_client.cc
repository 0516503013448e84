#include "fleetctl/key_client.h"

#include "fleet/v1/keys.grpc.pb.h"
#include "fleetctl/channel.h"

namespace fleet::ctl {
absl::StatusOr<v1::NewKeyReply> NewKey(const ClientOptions& options,
                                       const v1::NewKeyRequest& request) {
  return CallOnce<v1::Keys>(options, &v1::Keys::Stub::New, request);
}

absl::StatusOr<v1::ListKeysReply> ListKeys(const ClientOptions& options) {
  return CallOnce<v1::Keys>(options, &v1::Keys::Stub::List, v1::ListKeysRequest());
}

absl::StatusOr<v1::RevokeKeyReply> RevokeKey(const ClientOptions& options,
                                             const v1::RevokeKeyRequest& request) {
  return CallOnce<v1::Keys>(options, &v1::Keys::Stub::Revoke, request);
}

}  // namespace fleet::ctl
