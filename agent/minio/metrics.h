#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/parse/exposition.h"

namespace fleet::agent {

/// Whether fleet takes this series of minio over: the ones an operator looks at. Leaves out those
/// that grow with buckets, and histograms.
bool IsMinioMetricKept(absl::string_view name);

/// Where the metrics of a generation ("v2", "v3") are found.
absl::Span<const absl::string_view> MinioMetricsPaths(absl::string_view generation);

/// What the verdict needs of them, whatever the generation. Missing: minio did not say.
struct MinioSummary {
  std::optional<double> usable_total_bytes;
  std::optional<double> usable_free_bytes;
  std::optional<double> drives_online;
  std::optional<double> drives_offline;
  std::optional<double> nodes_offline;
  std::optional<double> healing_drives;
  std::vector<std::string> offline_drives;  // "/data/2 on tempo:9000", where minio names them
};

/// Adds what `exposition` says to `summary`.
void SummariseMinio(const Exposition& exposition, MinioSummary& summary);

}  // namespace fleet::agent
