// Both forms of /metrics as Prometheus' own tools read them.
#include "collector/exposition.h"

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/process.h"
#include "tests/support/state_feeder.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PromtoolTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::Shell("command -v promtool").exit_code != 0) GTEST_SKIP() << "promtool is missing";
    Report report;
    report.check = "example";
    report.interval = absl::Seconds(10);
    report.verdict = Verdict::kWarn;
    report.items = {{"/da\"ta\\\n", Verdict::kWarn, UnknownKind::kNone, "", ""}};
    SampleSet& samples = report.samples;
    for (const char* labels : {R"(cpu="0",mode="idle")", R"(cpu="0",mode="user")"}) {
      samples.AddRaw({"node_cpu_seconds_total", MetricType::kCounter, "Seconds."}, labels, 1.5e9);
    }
    samples.AddRaw({"fleet_raid_size_bytes", MetricType::kGauge, "A \"size\" with \\ and\nmore."},
                   R"(array="md0")", 1e300);
    samples.AddRaw({"node_netstat_Tcp_InSegs", MetricType::kUntyped, "Statistic TcpInSegs."}, "",
                   12345678);
    samples.AddRaw({"fleet_tinc_rtt_seconds", MetricType::kGauge, "Round trip."},
                   R"(peer="grün\\\"x\n")", 0.00042);
    ASSERT_THAT(feeder_.Send("tempo", report), IsOk());
    ASSERT_THAT(feeder_.Send("parasect", report), IsOk());
    clock_.Advance(absl::Seconds(44));
  }

  std::string Render(ExpositionFormat format) {
    const auto body = MakeExpositionBody(state_.Snapshot(), format, false);
    std::string text;
    std::vector<char> buffer(5000);
    while (true) {
      const auto count = body->Read(buffer.data(), buffer.size());
      if (!count.ok() || *count == 0) return text;
      text.append(buffer.data(), *count);
    }
  }

  test::TempDir dir_;
  test::FakeClock clock_;
  FleetState state_{clock_, {}};
  test::StateFeeder feeder_{state_, clock_};
};

TEST_F(PromtoolTest, FindsNothingToLintInText) {
  std::ofstream(dir_ / "metrics") << Render(ExpositionFormat::kText);
  const test::Output output =
      test::Shell(absl::StrCat("promtool check metrics < ", dir_ / "metrics"));
  // The one line that node_exporter's name earns there too.
  std::vector<std::string> lines;
  for (const absl::string_view line : absl::StrSplit(output.text, '\n', absl::SkipEmpty())) {
    if (!absl::StrContains(line, "node_netstat")) lines.emplace_back(line);
  }
  EXPECT_THAT(lines, IsEmpty());
}

TEST_F(PromtoolTest, ReadsOpenMetrics) {
  // Backfilling is the one door of promtool to the OpenMetrics parser; it wants timestamps.
  std::ofstream out(dir_ / "metrics");
  size_t samples = 0;
  for (const absl::string_view line :
       absl::StrSplit(Render(ExpositionFormat::kOpenMetrics), '\n', absl::SkipEmpty())) {
    const bool sample = line[0] != '#';
    samples += sample ? 1 : 0;
    out << line << (sample ? " 1700000000\n" : "\n");
  }
  out.close();
  const test::Output output = test::RunProgram(
      {"promtool", "tsdb", "create-blocks-from", "openmetrics", dir_ / "metrics", dir_ / "data"});
  EXPECT_EQ(output.exit_code, 0) << output.text;
  const test::Output dump = test::Shell(
      absl::StrCat("mkdir -p ", dir_ / "data/wal", " && promtool tsdb dump ", dir_ / "data"));
  const std::vector<std::string> lines = absl::StrSplit(dump.text, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), samples) << dump.text;
  EXPECT_THAT(dump.text, HasSubstr(R"(__name__="node_cpu_seconds_total", cpu="0")"));
}

}  // namespace
}  // namespace fleet::collector
