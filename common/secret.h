#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace fleet {

/// The secret in `path`, without the final newline. A relative path is one of
/// $CREDENTIALS_DIRECTORY, where systemd's LoadCredential puts them.
/// Errors: by errno; kInvalidArgument for an empty file or more than 64 KiB.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path);

}  // namespace fleet
