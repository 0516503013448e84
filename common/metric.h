#pragma once

#include "absl/strings/string_view.h"

namespace fleet {

/// As Prometheus types them. kUntyped is `untyped` in text 0.0.4 and `unknown` in OpenMetrics.
enum class MetricType { kGauge, kCounter, kUntyped };

/// Describes one metric family, beside the code that emits it. `name` may end in one '*': then it
/// describes every family whose name starts so (node_memory_*), and "%s" in `help` is the rest.
struct MetricDesc {
  absl::string_view name;
  MetricType type;
  absl::string_view help;  // one sentence with a full stop; the unit where the name lacks it
  /// An exporter's own name and type: excused from the naming rules of fleet's own metrics.
  bool adopted = false;
};

/// One label. The value is any UTF-8; it is escaped when rendered.
struct Label {
  absl::string_view name;
  absl::string_view value;
};

absl::string_view MetricTypeName(MetricType type);

}  // namespace fleet
