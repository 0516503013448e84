#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/metric.h"

namespace fleet::collector {

/// Type and help that no agent may change: what our own checks declare.
struct KnownFamily {
  MetricType type;
  std::string help;
};

/// Nothing when no check declares `name`, by itself or by a wildcard.
std::optional<KnownFamily> FindKnownFamily(absl::string_view name);

/// What the checks declare, sorted by name, wildcards too.
absl::Span<const MetricDesc> KnownFamilies();

/// Names that only the collector, or Prometheus itself, may serve.
bool IsReservedFamily(absl::string_view name);

}  // namespace fleet::collector
