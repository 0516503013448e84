#include "agent/minio/metrics.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/labels.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kKeptNames[] = {
    "minio_cluster_bucket_total",
    "minio_cluster_health_status",
    "minio_cluster_usage_object_total",
    "minio_cluster_usage_total_bytes",
    "minio_cluster_write_quorum",
    "minio_node_process_uptime_seconds",
    "minio_software_version_info",
    "minio_system_process_uptime_seconds",
    "minio_usage_last_activity_nano_seconds",
};
constexpr absl::string_view kKeptPrefixes[] = {
    "minio_api_requests_",
    "minio_cluster_capacity_",
    "minio_cluster_drive_",
    "minio_cluster_health_",
    "minio_cluster_erasure_set_",
    "minio_cluster_nodes_",
    "minio_cluster_usage_objects_",
    "minio_heal_",
    "minio_node_drive_",
    "minio_s3_requests_",
    "minio_system_drive_",
};

constexpr absl::string_view kV2Paths[] = {"/minio/v2/metrics/cluster", "/minio/v2/metrics/node"};
constexpr absl::string_view kV3Paths[] = {
    "/minio/metrics/v3/cluster/health",        "/minio/metrics/v3/cluster/erasure-set",
    "/minio/metrics/v3/cluster/usage/objects", "/minio/metrics/v3/system/drive",
    "/minio/metrics/v3/api/requests",
};

struct Field {
  absl::string_view name;
  std::optional<double> MinioSummary::*field;
};
constexpr Field kFields[] = {
    {"minio_cluster_capacity_usable_total_bytes", &MinioSummary::usable_total_bytes},
    {"minio_cluster_health_capacity_usable_total_bytes", &MinioSummary::usable_total_bytes},
    {"minio_cluster_capacity_usable_free_bytes", &MinioSummary::usable_free_bytes},
    {"minio_cluster_health_capacity_usable_free_bytes", &MinioSummary::usable_free_bytes},
    {"minio_cluster_drive_online_total", &MinioSummary::drives_online},
    {"minio_cluster_health_drives_online_count", &MinioSummary::drives_online},
    {"minio_cluster_drive_offline_total", &MinioSummary::drives_offline},
    {"minio_cluster_health_drives_offline_count", &MinioSummary::drives_offline},
    {"minio_cluster_nodes_offline_total", &MinioSummary::nodes_offline},
    {"minio_cluster_health_nodes_offline_count", &MinioSummary::nodes_offline},
};
/// One per erasure set: summed.
constexpr absl::string_view kHealingNames[] = {
    "minio_cluster_health_erasure_set_healing_drives",
    "minio_cluster_erasure_set_healing_drives_count",
};

std::string DriveName(const std::string& labels) {
  std::string drive;
  std::string server;
  const auto parsed = ParseLabels(labels);
  if (!parsed.ok()) return "";
  for (const auto& [name, value] : *parsed) {
    if (name == "drive") drive = value;
    if (name == "server") server = value;
  }
  return server.empty() ? drive : absl::StrCat(drive, " on ", server);
}

}  // namespace

bool IsMinioMetricKept(absl::string_view name) {
  if (absl::EndsWith(name, "_distribution") || absl::EndsWith(name, "_bucket")) return false;
  return std::find(std::begin(kKeptNames), std::end(kKeptNames), name) != std::end(kKeptNames) ||
         std::any_of(std::begin(kKeptPrefixes), std::end(kKeptPrefixes),
                     [name](absl::string_view prefix) { return absl::StartsWith(name, prefix); });
}

absl::Span<const absl::string_view> MinioMetricsPaths(absl::string_view generation) {
  return generation == "v3" ? absl::MakeConstSpan(kV3Paths) : absl::MakeConstSpan(kV2Paths);
}

void SummariseMinio(const Exposition& exposition, MinioSummary& summary) {
  for (const ExpositionSample& sample : exposition.samples) {
    const std::string& name = exposition.families[sample.family].name;
    for (const Field& field : kFields) {
      if (field.name == name) summary.*field.field = sample.value;
    }
    if (std::find(std::begin(kHealingNames), std::end(kHealingNames), name) !=
        std::end(kHealingNames)) {
      summary.healing_drives = summary.healing_drives.value_or(0) + sample.value;
    }
    if (name == "minio_system_drive_health" && sample.value == 0) {
      summary.offline_drives.push_back(DriveName(sample.labels));
    }
  }
}

}  // namespace fleet::agent
