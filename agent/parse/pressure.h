#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One line of a pressure file.
struct PressureLine {
  double avg60 = 0;       // ratio of the last minute, 0..1, decaying
  double avg300 = 0;      // ratio of the last five minutes
  uint64_t total_us = 0;  // microseconds since boot
};

/// How long tasks waited for one resource.
struct Pressure {
  std::optional<PressureLine> some;  // at least one task waited
  std::optional<PressureLine> full;  // every non-idle task waited
};

/// Parses one file of /proc/pressure, such as
///   some avg10=0.06 avg60=0.21 avg300=0.99 total=8537362
/// where the averages are percent and `total` microseconds. Unknown lines and keys are skipped, so
/// a newer kernel still parses.
///
/// Errors: kInvalidArgument for a line without a usable total, a known key that is no number, or no
/// line at all.
/// Source: https://docs.kernel.org/accounting/psi.html
absl::StatusOr<Pressure> ParsePressure(absl::string_view text);

}  // namespace fleet::agent
