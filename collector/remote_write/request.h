#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/family.h"
#include "common/http_client.h"

namespace fleet::collector {

/// Where samples go, and what the receiver wants to know of us.
struct ReceiverOptions {
  std::string name;  // in metrics, notes and the cursor
  std::string url;
  std::string user;  // with password_file: basic authentication
  std::string password_file;
  std::string bearer_token_file;
  std::string ca;  // PEM file; empty: the system's
  std::vector<std::pair<std::string, std::string>> headers;
  absl::Duration timeout = absl::Seconds(30);
  size_t samples_per_request = 5'000;
  /// How far back a receiver is served that was never served before.
  absl::Duration backfill = absl::InfiniteDuration();
};

/// A request of `options` without a body. Reads the secrets anew, so that they may be changed.
/// Errors: of ReadSecretFile.
absl::StatusOr<::fleet::HttpRequest> MakeRequest(const ReceiverOptions& options);

/// Appends type and help of a family to a WriteRequest.
void PutMetadata(const FamilyInfo& family, std::string& out);

}  // namespace fleet::collector
