#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "common/metric.h"

namespace fleet::collector {

/// A family whose type and help no agent may change: those of the de-facto exporters.
struct KnownFamily {
  absl::string_view name;
  MetricType type;
  absl::string_view help;
};

/// Null when nothing is known of `name`.
const KnownFamily* FindKnownFamily(absl::string_view name);

/// Names that only the collector, or Prometheus itself, may serve.
bool IsReservedFamily(absl::string_view name);

}  // namespace fleet::collector
