#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace fleet {

/// Replaces or makes `path` at one stroke: whoever reads sees the old text or the new one, also
/// after a power cut. A new file is 0600 and belongs to the owner of its directory, as far as we
/// may give it away (so that a daemon can read what root wrote for it); an old one keeps owner and
/// mode. Errors: by errno.
absl::Status WritePrivateFile(const std::string& path, absl::string_view text);

/// Makes a directory and those above it that are missing, 0700, each with the owner of the one
/// above. Errors: by errno.
absl::Status MakePrivateDirectory(const std::string& path);

/// The directory that `path` lies in: "." without a slash.
std::string DirectoryOf(const std::string& path);

}  // namespace fleet
