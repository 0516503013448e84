#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::agent {

/// Parses /proc/uptime, such as
///   2712.34 5012.10
/// where the first is the time since boot in seconds.
///
/// Errors: kInvalidArgument without a non-negative number.
/// Source: proc_uptime(5)
absl::StatusOr<absl::Duration> ParseUptime(absl::string_view text);

}  // namespace fleet::agent
