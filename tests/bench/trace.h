#pragma once

#include <vector>

#include "absl/time/time.h"
#include "common/report.h"

namespace fleet::bench {

/// One collection of a host: a report of each of its checks.
using Round = std::vector<Report>;

/// 600 real scrapes at 1 s of node_exporter, postgres_exporter and redis_exporter under load
/// (tests/fixtures/trace), split into the checks that would have measured them, with times,
/// durations, reasons and items as those checks give them. Every `step`-th scrape.
std::vector<Round> LoadTrace(int step);

size_t SampleCount(const std::vector<Round>& rounds);

}  // namespace fleet::bench
