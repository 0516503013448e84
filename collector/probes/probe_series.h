#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/probes/book.h"
#include "collector/state.h"
#include "common/metric.h"

namespace fleet::collector {

/// What the collector says of probes beside their own probe_* series.
absl::Span<const MetricDesc> ProbeMetricDescs();

/// The series of all probes for /metrics: probe_*, as blackbox_exporter names them, of each
/// vantage, and fleet_probe_*. `instance` is the target, `check` the token, with alias and module.
std::vector<ExtraSeries> MakeProbeSeries(const std::vector<ProbeBook::Sampled>& probes,
                                         FleetState& state, absl::Time now);

}  // namespace fleet::collector
