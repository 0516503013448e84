#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet {

/// What `fleetctl enroll` prints and `fleet-agent join` or `fleetctl join` takes: "fleet1." and
/// base64url of a one-time secret, the fingerprint of the root to believe in and where the
/// collector is.
struct JoinToken {
  std::string secret;     // 16 bytes
  std::string pin;        // SHA-256, lower-case hexadecimal
  std::string collector;  // host:port
  bool operator==(const JoinToken&) const = default;
};

std::string FormatJoinToken(const JoinToken& token);
/// The inverse of FormatJoinToken; white space around it is dropped.
/// Errors: kInvalidArgument, never repeating the secret.
absl::StatusOr<JoinToken> ParseJoinToken(absl::string_view text);

}  // namespace fleet
