#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// What a distribution says of itself; what it leaves out is empty.
struct OsRelease {
  std::string build_id;
  std::string id;
  std::string id_like;
  std::string image_id;
  std::string image_version;
  std::string name;
  std::string pretty_name;
  std::string variant;
  std::string variant_id;
  std::string version;
  std::string version_codename;
  std::string version_id;
  bool operator==(const OsRelease&) const = default;
};

/// Parses os-release, such as
///   PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
/// with the shell's quotes and backslashes. Comments and unknown keys are skipped.
///
/// Errors: kInvalidArgument for a known key whose quote does not end.
/// Source: os-release(5)
absl::StatusOr<OsRelease> ParseOsRelease(absl::string_view text);

/// The number that node_os_version shows for VERSION_ID: "12" → 12, "20.04.3" → 20.04, "sid" → 0.
double OsVersionNumber(absl::string_view version_id);

}  // namespace fleet::agent
