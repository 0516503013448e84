#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "collector/family.h"
#include "collector/remote_write/options.h"
#include "common/http_client.h"

namespace fleet::collector {

/// A request of `options` without a body. Reads the secrets anew, so that they may be changed.
/// Errors: of ReadSecretFile.
absl::StatusOr<::fleet::HttpRequest> MakeRequest(const ReceiverOptions& options);

/// Appends type and help of a family to a WriteRequest.
void PutMetadata(const FamilyInfo& family, std::string& out);

}  // namespace fleet::collector
