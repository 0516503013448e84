#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/probes/probes.h"

namespace fleet::collector {

/// A downtime as far as it counts for uptime. Without an end it goes on.
struct DownSpan {
  absl::Time started_at;
  absl::Time ended_at = absl::InfiniteFuture();
};

inline constexpr absl::Duration kUptimeSpan = absl::Hours(24 * 30);

/// Percent of [from, to) that is not in `downs`, three decimals. Pure.
double UptimePercent(const std::vector<DownSpan>& downs, absl::Time from, absl::Time to);

/// One look in numbers.
ProbeMetrics CountLook(const probe::Result& result);

/// The apdex of hours that follow each other, oldest first: the last one is judged by the five
/// before it. How many percent it is below the lowest of them, when that is a performance drop
/// (below 70 % of it); nothing otherwise, or when an hour has too few samples. Pure.
std::optional<int> PerformanceDrop(const std::vector<std::pair<absl::Time, ProbeMetrics>>& hours,
                                   double apdex_t);

/// The hour, UTC, that `time` is in.
absl::Time HourOf(absl::Time time);
absl::Time DayOf(absl::Time time);
/// "2026-11-23T16:50:23Z".
std::string UpdownTime(absl::Time time);

}  // namespace fleet::collector
