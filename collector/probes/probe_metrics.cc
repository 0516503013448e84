#include "collector/probes/probe_metrics.h"

#include <algorithm>
#include <cmath>

namespace fleet::collector {
namespace {

constexpr size_t kDropHours = 6;      // the one that is judged, and five before it
constexpr double kDropShare = 0.7;    // of the lowest of them
constexpr int64_t kDropSamples = 10;  // an hour with fewer says nothing

/// A place that is at `seconds` or, for something between two edges, below it.
int64_t Under(const ProbeMetrics& metrics, double seconds) {
  int64_t under = 0;
  for (size_t i = 0; i < kResponseEdges.size() && kResponseEdges[i] <= seconds; ++i) {
    under = metrics.under[i];
  }
  return under;
}

double Rounded(double value) { return std::round(value * 1000) / 1000; }

}  // namespace

int64_t ProbeMetrics::Satisfied(double apdex_t) const { return Under(*this, apdex_t); }

int64_t ProbeMetrics::Tolerated(double apdex_t) const {
  return Under(*this, 4 * apdex_t) - Under(*this, apdex_t);
}

std::optional<double> ProbeMetrics::Apdex(double apdex_t) const {
  if (samples == 0) return std::nullopt;
  return Rounded(
      (static_cast<double>(Satisfied(apdex_t)) + static_cast<double>(Tolerated(apdex_t)) / 2) /
      static_cast<double>(samples));
}

void ProbeMetrics::Add(const ProbeMetrics& other) {
  samples += other.samples;
  failures += other.failures;
  for (size_t i = 0; i < under.size(); ++i) under[i] += other.under[i];
  redirect += other.redirect;
  namelookup += other.namelookup;
  connection += other.connection;
  handshake += other.handshake;
  response += other.response;
  total += other.total;
}

double UptimePercent(const std::vector<DownSpan>& downs, absl::Time from, absl::Time to) {
  if (to <= from) return 100;
  absl::Duration down;
  for (const DownSpan& span : downs) {
    const absl::Time begin = std::max(span.started_at, from);
    const absl::Time end = std::min(span.ended_at, to);
    if (begin < end) down += end - begin;
  }
  return std::max(0.0, Rounded(100 - 100 * absl::FDivDuration(down, to - from)));
}

ProbeMetrics CountLook(const probe::Result& result) {
  ProbeMetrics metrics;
  metrics.samples = 1;
  if (!result.success) {
    metrics.failures = 1;
    return metrics;
  }
  const double response = absl::ToDoubleSeconds(result.timings.response);
  for (size_t i = 0; i < kResponseEdges.size(); ++i) {
    metrics.under[i] = response < kResponseEdges[i] ? 1 : 0;
  }
  metrics.redirect = absl::ToDoubleMilliseconds(result.timings.redirect);
  metrics.namelookup = absl::ToDoubleMilliseconds(result.timings.namelookup);
  metrics.connection = absl::ToDoubleMilliseconds(result.timings.connection);
  metrics.handshake = absl::ToDoubleMilliseconds(result.timings.handshake);
  metrics.response = absl::ToDoubleMilliseconds(result.timings.response);
  metrics.total = absl::ToDoubleMilliseconds(result.timings.total);
  return metrics;
}

std::optional<int> PerformanceDrop(const std::vector<std::pair<absl::Time, ProbeMetrics>>& hours,
                                   double apdex_t) {
  if (hours.size() != kDropHours) return std::nullopt;
  double lowest = 1;
  for (size_t i = 0; i < hours.size(); ++i) {
    if (hours[i].second.samples < kDropSamples) return std::nullopt;
    if (i > 0 && hours[i].first != hours[i - 1].first + absl::Hours(1)) return std::nullopt;
    if (i + 1 < hours.size()) lowest = std::min(lowest, *hours[i].second.Apdex(apdex_t));
  }
  const double now = *hours.back().second.Apdex(apdex_t);
  if (lowest <= 0 || now >= kDropShare * lowest) return std::nullopt;
  return static_cast<int>(std::lround(100 * (1 - now / lowest)));
}

absl::Time HourOf(absl::Time time) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  return absl::FromUnixSeconds(seconds - seconds % 3'600);
}

absl::Time DayOf(absl::Time time) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  return absl::FromUnixSeconds(seconds - seconds % 86'400);
}

std::string UpdownTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

}  // namespace fleet::collector
