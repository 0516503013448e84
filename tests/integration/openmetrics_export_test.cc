// What is exported makes blocks that the real promtool and Prometheus read.
#include "collector/openmetrics_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_split.h"
#include "tests/support/matchers.h"
#include "tests/support/memory_segment_source.h"
#include "tests/support/process.h"
#include "tests/support/random_report.h"
#include "tests/support/state_feeder.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;

TEST(OpenMetricsBlocksTest, PromtoolTakesEverySample) {
  if (!test::HasProgram("promtool")) GTEST_SKIP() << "promtool is not installed";
  test::MemorySegmentSource source(Clock::Real());
  const absl::Time start = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now())) - absl::Hours(5);
  for (const char* host : {"tempo", "parasect"}) {
    test::RandomReports random(host[0]);  // series that come and go, odd labels, NaN, infinities
    for (uint64_t segment = 0; segment < 4; ++segment) {
      const absl::Time created = start + absl::Hours(static_cast<double>(segment));
      source.Open(host, {1, segment}, created);
      for (int i = 0; i < 100; ++i) {
        Report report = random.Next();
        report.start = created + absl::Seconds(36 * i) + absl::Milliseconds(segment * 7);
        source.Append(host, {1, segment}, report);
      }
    }
  }
  FamilyRegistry families;
  LayoutPool layouts;
  SeriesTables tables;
  SeriesContext context{families, layouts, tables, {}, "fleet"};
  std::string text;
  const auto exported =
      ExportOpenMetrics(source, context, {.samples_in_memory = 1000}, [&](absl::string_view piece) {
        text.append(piece.data(), piece.size());
        return absl::OkStatus();
      });
  ASSERT_THAT(exported, IsOk());
  ASSERT_GT(exported->samples, 2000u);
  const test::TempDir dir;
  test::WriteFile(dir / "export.om", text);
  const test::Output made = test::RunProgram(
      {"promtool", "tsdb", "create-blocks-from", "openmetrics", dir / "export.om", dir / "data"},
      absl::Seconds(60));
  ASSERT_EQ(made.exit_code, 0) << made.text;
  ASSERT_EQ(test::RunProgram({"mkdir", "-p", dir / "data/wal"}).exit_code, 0);  // dump wants one
  const test::Output dump = test::Shell(
      absl::StrCat("promtool tsdb dump ", dir / "data", " | grep -c '^{'"), absl::Seconds(60));
  EXPECT_EQ(dump.text, absl::StrCat(exported->samples, "\n"));
}

}  // namespace
}  // namespace fleet::collector
