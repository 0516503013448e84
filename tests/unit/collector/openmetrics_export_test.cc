#include "collector/openmetrics_export.h"

#include <gmock/gmock.h>

#include "absl/strings/str_split.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/memory_segment_source.h"
#include "tests/support/memory_use.h"
#include "tests/support/state_feeder.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::testing::HasSubstr;
using ::testing::Not;

class OpenMetricsExportTest : public ::testing::Test {
 protected:
  std::string Export(const ExportRequest& request, ExportResult* result = nullptr) {
    std::string text;
    const auto exported =
        ExportOpenMetrics(source_, context_, request, [&text](absl::string_view piece) {
          text.append(piece.data(), piece.size());
          return absl::OkStatus();
        });
    EXPECT_THAT(exported, IsOk());
    if (exported.ok() && result != nullptr) *result = *exported;
    return text;
  }
  void Append(const std::string& host, SegmentId id, double seconds, Report report) {
    report.start = start_ + absl::Seconds(seconds);
    report.duration = absl::ZeroDuration();
    source_.Append(host, id, report);
  }

  test::FakeClock clock_;
  const absl::Time start_ = clock_.Now();
  test::MemorySegmentSource source_{clock_};
  FamilyRegistry families_;
  LayoutPool layouts_;
  SeriesTables tables_;
  SeriesContext context_{families_, layouts_, tables_, {}, "fleet"};
};

TEST_F(OpenMetricsExportTest, WritesFamilyByFamilyInTheOrderOfTime) {
  for (const char* host : {"tempo", "parasect"}) {
    source_.Open(host, {1, 0}, start_);
    for (int i = 0; i < 2; ++i) {
      Report report = MakeReport("load", {{"node_load1", 1.5 + i}});
      report.samples.AddRaw({"node_forks_total", MetricType::kCounter, "x"}, "", 10 + i);
      Append(host, {1, 0}, 0.25 + 10 * i, report);
    }
  }
  ExportResult result;
  const std::string text = Export({}, &result);
  EXPECT_EQ(text,
            R"(# HELP fleet_check_duration_seconds How long the check's last run took.
# TYPE fleet_check_duration_seconds gauge
fleet_check_duration_seconds{check="load",instance="parasect",job="fleet",host="parasect"} 0 1700000000.250
fleet_check_duration_seconds{check="load",instance="parasect",job="fleet",host="parasect"} 0 1700000010.250
fleet_check_duration_seconds{check="load",instance="tempo",job="fleet",host="tempo"} 0 1700000000.250
fleet_check_duration_seconds{check="load",instance="tempo",job="fleet",host="tempo"} 0 1700000010.250
# HELP fleet_check_last_success_timestamp_seconds When a report of a run that worked last arrived, by the collector's clock.
# TYPE fleet_check_last_success_timestamp_seconds gauge
fleet_check_last_success_timestamp_seconds{check="load",instance="parasect",job="fleet",host="parasect"} 1700000000.25 1700000000.250
fleet_check_last_success_timestamp_seconds{check="load",instance="parasect",job="fleet",host="parasect"} 1700000010.25 1700000010.250
fleet_check_last_success_timestamp_seconds{check="load",instance="tempo",job="fleet",host="tempo"} 1700000000.25 1700000000.250
fleet_check_last_success_timestamp_seconds{check="load",instance="tempo",job="fleet",host="tempo"} 1700000010.25 1700000010.250
# HELP fleet_check_status Verdict of the check: 0 ok, 1 warn, 2 crit, 3 unknown.
# TYPE fleet_check_status gauge
fleet_check_status{check="load",instance="parasect",job="fleet",host="parasect"} 0 1700000000.250
fleet_check_status{check="load",instance="parasect",job="fleet",host="parasect"} 0 1700000010.250
fleet_check_status{check="load",instance="tempo",job="fleet",host="tempo"} 0 1700000000.250
fleet_check_status{check="load",instance="tempo",job="fleet",host="tempo"} 0 1700000010.250
# HELP fleet_check_success Whether the check's last run itself worked; what it found is in fleet_check_status.
# TYPE fleet_check_success gauge
fleet_check_success{check="load",instance="parasect",job="fleet",host="parasect"} 1 1700000000.250
fleet_check_success{check="load",instance="parasect",job="fleet",host="parasect"} 1 1700000010.250
fleet_check_success{check="load",instance="tempo",job="fleet",host="tempo"} 1 1700000000.250
fleet_check_success{check="load",instance="tempo",job="fleet",host="tempo"} 1 1700000010.250
# HELP node_forks Total number of forks.
# TYPE node_forks counter
node_forks_total{instance="parasect",job="fleet"} 10 1700000000.250
node_forks_total{instance="parasect",job="fleet"} 11 1700000010.250
node_forks_total{instance="tempo",job="fleet"} 10 1700000000.250
node_forks_total{instance="tempo",job="fleet"} 11 1700000010.250
# HELP node_load1 1m load average.
# TYPE node_load1 gauge
node_load1{instance="parasect",job="fleet"} 1.5 1700000000.250
node_load1{instance="parasect",job="fleet"} 2.5 1700000010.250
node_load1{instance="tempo",job="fleet"} 1.5 1700000000.250
node_load1{instance="tempo",job="fleet"} 2.5 1700000010.250
# EOF
)");
  EXPECT_EQ(result.samples, 24u);
  EXPECT_EQ(result.series, 12u);
  EXPECT_EQ(result.lost_segments, 0u);

  // The same in many passes, each of which can hold one series.
  EXPECT_EQ(Export({.samples_in_memory = 2}), text);
  EXPECT_EQ(Export({.samples_in_memory = 5}), text);
}

TEST_F(OpenMetricsExportTest, TakesAHostAndASpanOfTime) {
  for (const char* host : {"tempo", "parasect"}) {
    source_.Open(host, {1, 0}, start_, absl::Hours(1));
    for (int i = 0; i < 5; ++i) {
      Append(host, {1, 0}, i, MakeReport("load", {{"node_load1", double(i)}}));
    }
  }
  const absl::Time there = start_ + absl::Hours(1);
  const std::string text = Export(
      {.host = "tempo", .since = there + absl::Seconds(1), .until = there + absl::Seconds(3)});
  EXPECT_THAT(text, HasSubstr("node_load1{instance=\"tempo\",job=\"fleet\"} 1 1700003601.000\n"
                              "node_load1{instance=\"tempo\",job=\"fleet\"} 2 1700003602.000\n#"));
  EXPECT_THAT(text, Not(HasSubstr("parasect")));
}

TEST_F(OpenMetricsExportTest, SortsLateSegmentsAndWritesEachTimeOnce) {
  source_.Open("tempo", {1, 1}, start_ + absl::Seconds(5));
  Append("tempo", {1, 1}, 20, MakeReport("load", {{"node_load1", 3}}));
  Append("tempo", {1, 1}, 10, MakeReport("load", {{"node_load1", 2}}));
  Append("tempo", {1, 1}, 20, MakeReport("load", {{"node_load1", 4}}));
  source_.Open("tempo", {1, 0}, start_ + absl::Seconds(7));
  Append("tempo", {1, 0}, 0, MakeReport("load", {{"node_load1", 1}}));
  EXPECT_THAT(Export({}),
              HasSubstr("job=\"fleet\"} 1 1700000000.000\n"
                        "node_load1{instance=\"tempo\",job=\"fleet\"} 2 1700000010.000\n"
                        "node_load1{instance=\"tempo\",job=\"fleet\"} 3 1700000020.000\n"
                        "# EOF\n"));
}

TEST_F(OpenMetricsExportTest, CountsDamagedSegmentsAndKeepsTheirStart) {
  source_.Open("tempo", {1, 0}, start_);
  for (int i = 0; i < 3; ++i) {
    Append("tempo", {1, 0}, i, MakeReport("load", {{"node_load1", double(i)}}));
  }
  source_.Damage("tempo", {1, 0}, source_.Read("tempo", {1, 0})->size() - 1);
  ExportResult result;
  const std::string text = Export({}, &result);
  EXPECT_EQ(result.lost_segments, 1u);
  EXPECT_THAT(text, HasSubstr("node_load1{instance=\"tempo\",job=\"fleet\"} 1 1700000001.000\n"));
}

TEST_F(OpenMetricsExportTest, CountsWhatGoesWhileItWritesAndLeavesOutWhatComes) {
  const auto append = [this](uint64_t segment, int seconds) {
    Append("tempo", {1, segment}, seconds, MakeReport("load", {{"node_load1", 1}}));
  };
  for (const uint64_t segment : {0, 1}) {
    source_.Open("tempo", {1, segment}, start_);
    for (int i = 0; i < 1000; ++i) append(segment, 1000 * static_cast<int>(segment) + i);
  }
  bool changed = false;
  const auto exported =
      ExportOpenMetrics(source_, context_, {.samples_in_memory = 2000}, [&](absl::string_view) {
        if (changed) return absl::OkStatus();
        changed = true;
        source_.Remove("tempo", {1, 0});
        for (int i = 2000; i < 3000; ++i) append(1, i);
        return absl::OkStatus();
      });
  ASSERT_THAT(exported, IsOk());
  ASSERT_TRUE(changed);
  EXPECT_EQ(exported->lost_segments, 1u) << "not once for each walk";
  EXPECT_EQ(exported->series, 5u);
  EXPECT_EQ(exported->samples, 2000u + 4 * 1000u) << "one series was in memory by then";
}

TEST_F(OpenMetricsExportTest, LeavesOutWhatVantagesSaw) {
  source_.Open("tempo", {1, 0}, start_);
  Append("tempo", {1, 0}, 0, MakeReport("load", {{"node_load1", 1}}));
  Append("tempo", {1, 0}, 0, MakeReport("probe.1kae", {{"probe_success", 0}}, Verdict::kCrit));
  ExportResult result;
  EXPECT_THAT(Export({}, &result), Not(HasSubstr("probe")));
  EXPECT_EQ(result.series, 5u) << "the load and four fleet_check_* of that check";
}

TEST_F(OpenMetricsExportTest, KeepsNoMoreOfASeriesThanMayBeInMemory) {
  source_.Open("tempo", {1, 0}, start_);
  for (int i = 0; i < 5; ++i) {
    Append("tempo", {1, 0}, i, MakeReport("load", {{"node_load1", double(i)}}));
  }
  ExportResult result;
  EXPECT_THAT(Export({.samples_in_memory = 3}, &result),
              HasSubstr("job=\"fleet\"} 2 1700000002.000\n# EOF\n"));
  EXPECT_EQ(result.samples, 5u * 3);
  EXPECT_EQ(result.left_out, 5u * 2);
}

/// Reports that take next to nothing in the journal.
class HostileExportTest : public OpenMetricsExportTest {
 protected:
  size_t MemoryForExport(size_t samples) {
    return test::MemoryFor([&] {
      const auto exported = ExportOpenMetrics(source_, context_, {},
                                              [](absl::string_view) { return absl::OkStatus(); });
      ASSERT_THAT(exported, IsOk());
      EXPECT_EQ(exported->samples, samples);
    });
  }
};

TEST_F(HostileExportTest, ManyValuesOfWhichOneChanges) {
  source_.Open("tempo", {1, 0}, start_);
  Report report = MakeReport("load", {{"node_load1", 1}});
  for (int i = 0; i < 19'999; ++i) {  // not served, but held with the one that is
    report.samples.AddRaw({"up", MetricType::kGauge, ""}, absl::StrCat("n=\"", i, "\""), 1);
  }
  std::vector<double> values(report.samples.values().begin(), report.samples.values().end());
  constexpr size_t kReports = 4000;
  for (size_t i = 0; i < kReports; ++i) {
    values[0] = static_cast<double>(i);
    report.samples.SetValues(values);
    report.start = start_ + absl::Seconds(static_cast<double>(i));
    source_.Append("tempo", {1, 0}, report);
  }
  ASSERT_LT(source_.Read("tempo", {1, 0})->size(), 1u << 20);
  EXPECT_LT(MemoryForExport(5 * kReports), 320u << 20) << "640 MB of values";
}

TEST_F(HostileExportTest, ManySeriesThatComeAndGo) {
  source_.Open("tempo", {1, 0}, start_);
  const std::string padding(190, 'x');
  constexpr size_t kReports = 150;
  constexpr size_t kSeries = 3000;
  for (size_t i = 0; i < kReports; ++i) {
    Report report;
    report.check = "load";
    report.interval = absl::Seconds(10);
    report.start = start_ + absl::Seconds(static_cast<double>(i));
    for (size_t n = 0; n <= kSeries; ++n) {
      if (n == i) continue;
      report.samples.AddRaw({"x", MetricType::kGauge, ""}, absl::StrCat("n=\"", n, padding, "\""),
                            1);
    }
    source_.Append("tempo", {1, 0}, report);
  }
  EXPECT_LT(MemoryForExport((kSeries + 4) * kReports), 130u << 20) << "as many tables as reports";
}

TEST_F(OpenMetricsExportTest, StopsWhenNobodyTakesIt) {
  source_.Open("tempo", {1, 0}, start_);
  Append("tempo", {1, 0}, 0, MakeReport("load", {{"node_load1", 1}}));
  const auto exported = ExportOpenMetrics(
      source_, context_, {}, [](absl::string_view) { return absl::CancelledError("gone"); });
  EXPECT_TRUE(absl::IsCancelled(exported.status()));
}

TEST_F(OpenMetricsExportTest, NothingIsAValidText) { EXPECT_EQ(Export({}), "# EOF\n"); }

}  // namespace
}  // namespace fleet::collector
