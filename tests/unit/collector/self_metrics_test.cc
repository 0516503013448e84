#include "collector/self_metrics.h"

#include <gmock/gmock.h>

#include <set>

#include "absl/strings/match.h"

namespace fleet::collector {
namespace {

using ::testing::HasSubstr;

TEST(SelfMetricsTest, CountsSetsAndRenders) {
  SelfMetrics metrics;
  const SelfCounter reports = metrics.Counter(self::kReports, {{"lane", "live"}});
  reports.Add();
  reports.Add(2);
  metrics.Count(self::kRejected, {{"reason", "a \"quoted\" one"}});
  metrics.Set(self::kHttpConnections, {}, 7);
  const std::string text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("# TYPE fleet_collector_reports_total counter\n"
                              "fleet_collector_reports_total{lane=\"live\"} 3\n"));
  EXPECT_THAT(text, HasSubstr(R"(fleet_collector_rejected_total{reason="a \"quoted\" one"} 1)"));
  EXPECT_THAT(text, HasSubstr("fleet_collector_http_connections 7\n"));
}

TEST(SelfMetricsTest, AsksItsSourcesAtEachRender) {
  SelfMetrics metrics;
  double value = 1;
  metrics.AddSource([&value](SelfMetrics& m) { m.Set(self::kHttpShut, {}, value); });
  EXPECT_THAT(metrics.Render(), HasSubstr("_shut_total 1\n"));
  value = 5;
  EXPECT_THAT(metrics.Render(), HasSubstr("_shut_total 5\n"));
  metrics.ClearSources();
  value = 9;
  EXPECT_THAT(metrics.Render(), HasSubstr("_shut_total 5\n"));
}

TEST(SelfMetricsTest, KnowsThisProcess) {
  SelfMetrics metrics;
  SetProcessMetrics(metrics);
  const std::string text = metrics.Render();
  for (const MetricDesc* desc : {&self::kCpu, &self::kResident, &self::kVirtual, &self::kThreads,
                                 &self::kStart, &self::kOpenFds, &self::kMaxFds}) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", desc->name, " ")));
  }
}

TEST(SelfMetricsTest, DescriptorsKeepTheRulesOfNames) {
  std::set<absl::string_view> names;
  for (const MetricDesc* desc : self::Descriptors()) {
    SCOPED_TRACE(desc->name);
    EXPECT_TRUE(names.insert(desc->name).second);
    EXPECT_TRUE(absl::EndsWith(desc->help, "."));
    EXPECT_EQ(desc->type == MetricType::kCounter, absl::EndsWith(desc->name, "_total"));
    EXPECT_EQ(desc->adopted, absl::StartsWith(desc->name, "process_"));
  }
}

}  // namespace
}  // namespace fleet::collector
