#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/metric.h"

namespace fleet::agent {

/// A metric family that somebody else's exposition describes. Untyped where it does not say, and
/// for histograms and summaries, whose parts stand as families of their own.
struct ExpositionFamily {
  std::string name;
  MetricType type = MetricType::kUntyped;
  std::string help;
  bool operator==(const ExpositionFamily&) const = default;
};

struct ExpositionSample {
  size_t family = 0;   // index into Exposition::families
  std::string labels;  // as AppendLabels writes them, in the text's order
  double value = 0;
  bool operator==(const ExpositionSample&) const = default;
};

struct Exposition {
  std::vector<ExpositionFamily> families;  // those with samples, in the text's order
  std::vector<ExpositionSample> samples;
  size_t dropped = 0;  // samples beyond the limit
};

/// Parses Prometheus text 0.0.4 (and what OpenMetrics shares with it), such as
///   # HELP minio_node_drive_free_bytes Total storage available on a drive
///   # TYPE minio_node_drive_free_bytes gauge
///   minio_node_drive_free_bytes{drive="/data",server="127.0.0.1:9000"} 8e+11
/// keeping the samples whose name `keep` wants, `samples_max` of them at most. Other lines are not
/// looked into. Timestamps and exemplars are dropped; so is a label without value, which means the
/// same as none.
///
/// Errors: kInvalidArgument for a line that does not begin with a metric name, a kept one whose
/// labels or value cannot be read, or 64 labels and more.
/// Source: https://prometheus.io/docs/instrumenting/exposition_formats/
absl::StatusOr<Exposition> ParseExposition(absl::string_view text,
                                           absl::FunctionRef<bool(absl::string_view)> keep,
                                           size_t samples_max);

}  // namespace fleet::agent
