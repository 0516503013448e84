#include "agent/minio/metrics.h"

#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::Fixture;
using ::testing::ElementsAre;

MinioSummary Summarise(const std::string& text) {
  const auto parsed = ParseExposition(text, IsMinioMetricKept, 1000);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  MinioSummary summary;
  if (parsed.ok()) SummariseMinio(*parsed, summary);
  return summary;
}

TEST(IsMinioMetricKeptTest, LeavesOutWhatGrowsWithBucketsAndHistograms) {
  for (const char* name :
       {"minio_cluster_capacity_usable_free_bytes", "minio_s3_requests_5xx_errors_total",
        "minio_node_drive_latency_us", "minio_heal_objects_total",
        "minio_cluster_health_erasure_set_status", "minio_cluster_health_drives_offline_count",
        "minio_cluster_usage_objects_since_last_update_seconds", "minio_system_drive_health",
        "minio_node_process_uptime_seconds"}) {
    EXPECT_TRUE(IsMinioMetricKept(name)) << name;
  }
  for (const char* name :
       {"minio_bucket_usage_total_bytes", "minio_s3_requests_ttfb_seconds_distribution",
        "minio_cluster_usage_objects_size_distribution", "minio_node_syscall_read_total",
        "go_goroutines", "minio_cluster_usage_buckets_total_bytes", "node_load1"}) {
    EXPECT_FALSE(IsMinioMetricKept(name)) << name;
  }
}

TEST(SummariseMinioTest, ReadsBothGenerations) {
  for (const char* file : {"minio/v2_cluster.prom", "minio/v3_cluster_health.prom"}) {
    SCOPED_TRACE(file);
    const MinioSummary summary = Summarise(Fixture(file));
    EXPECT_EQ(summary.usable_total_bytes, 2e12);
    EXPECT_EQ(summary.usable_free_bytes, 8e11);
    EXPECT_EQ(summary.drives_online, 4);
    EXPECT_EQ(summary.drives_offline, 0);
    EXPECT_EQ(summary.nodes_offline, 0);
  }
}

TEST(SummariseMinioTest, NamesOfflineDrivesAndSumsHealingOnes) {
  const MinioSummary summary = Summarise(
      "minio_system_drive_health{drive=\"/data/1\",server=\"a:9000\"} 0\n"
      "minio_system_drive_health{drive=\"/data/2\"} 0\n"
      "minio_system_drive_health{drive=\"/data/3\"} 2\n"
      "minio_cluster_erasure_set_healing_drives_count{set_id=\"0\"} 1\n"
      "minio_cluster_erasure_set_healing_drives_count{set_id=\"1\"} 2\n");
  EXPECT_THAT(summary.offline_drives, ElementsAre("/data/1 on a:9000", "/data/2"));
  EXPECT_EQ(summary.healing_drives, 3);
  EXPECT_EQ(summary.usable_total_bytes, std::nullopt);
}

}  // namespace
}  // namespace fleet::agent
