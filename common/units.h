#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet {

/// Parses "10s", "1.5h", "200ms", "3d", "1w", or several with falling units ("1h30m").
/// Errors: kInvalidArgument for anything else, a missing unit or a negative span.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text);

/// Parses "85%" or "0.85" into 0.85. Errors: kInvalidArgument outside 0..1.
absl::StatusOr<double> ParseRatio(absl::string_view text);

/// Parses "512", "64KiB", "10MB", "1.5GiB" into bytes (KiB = 1024, kB = 1000).
/// Errors: kInvalidArgument for anything else or more than 2^53.
absl::StatusOr<int64_t> ParseBytes(absl::string_view text);

/// A span as a tired person reads it, two significant units at most: "340 ms", "3.1 s", "4 min",
/// "2 h 5 min", "6 d".
std::string HumanDuration(absl::Duration span);

/// "512 B", "3.2 MiB", "1.4 TiB".
std::string HumanBytes(double bytes);

/// A ratio in 0..1 as "91.2 %".
std::string HumanPercent(double ratio);

}  // namespace fleet
