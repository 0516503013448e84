#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Load averages over 1, 5 and 15 minutes, in tasks.
struct LoadAverage {
  double one = 0;
  double five = 0;
  double fifteen = 0;
};

/// Parses /proc/loadavg, such as
///   0.20 0.18 0.12 1/80 11206
/// where the first three are the averages; the rest is dropped.
///
/// Errors: kInvalidArgument without three non-negative numbers.
/// Source: proc_loadavg(5)
absl::StatusOr<LoadAverage> ParseLoadAverage(absl::string_view text);

}  // namespace fleet::agent
