#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::collector {

/// "2026-11-23T16:50:23Z": the one way times are written; some clients can read no other.
std::string FormatApiTime(absl::Time time);

/// Reads a time as clients of updown write it: "2026-11-23T16:00:00.000Z", with a blank for the T,
/// without fraction, seconds or time of day, with "Z", "UTC", "+01:00", "-0700" or no zone (UTC),
/// or as seconds since 1970. A blank before the digits of a zone is a '+' that was not escaped.
/// Errors: kInvalidArgument for anything else, and for years outside 1970 to 9999.
absl::StatusOr<absl::Time> ParseApiTime(absl::string_view text);

}  // namespace fleet::collector
