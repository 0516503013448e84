// What was, by the commands that an admin has for it, over a real collector's journal.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/fleet_lab.h"
#include "tests/support/matchers.h"
#include "tests/support/segment_files.h"

namespace fleet::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HistoryCommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    lab_.UseCertificates();
    lab_.StartCollector();
    ASSERT_TRUE(lab_.WaitReady());
    before_ = absl::Now();
    lab_.StartAgent("tempo");
    ASSERT_TRUE(WaitFor([&] { return Runs() >= 20; })) << lab_.log("tempo");
    during_ = absl::Now();
    ASSERT_EQ(lab_.StopAgent("tempo"), 0);
  }

  /// Reports of the check "load" that the journal holds.
  size_t Runs() const {
    size_t runs = 0;
    for (const SegmentFile& file : FindSegmentFiles(lab_.journal_dir() + "/hosts/tempo")) {
      const std::vector<StoredReport> reports = ReadSegmentFile(file.path);
      runs += static_cast<size_t>(
          std::count_if(reports.begin(), reports.end(),
                        [](const StoredReport& report) { return report.check == "load"; }));
    }
    return runs;
  }
  json AsJson(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"-o", "json"});
    const Output output = lab_.Fleetctl(arguments);
    EXPECT_LE(output.exit_code, 3) << output.text;  // the verdict's
    return json::parse(output.text, nullptr, false);
  }
  static std::string Rfc3339(absl::Time time) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  }

  FleetLab lab_;
  absl::Time before_;  // the first report
  absl::Time during_;  // the reports
};

TEST_F(HistoryCommandsTest, HistoryInEveryForm) {
  const Output picture = lab_.Fleetctl({"history", "tempo", "node_load1", "--since", "10m"});
  EXPECT_EQ(picture.exit_code, 0) << picture.text;
  EXPECT_THAT(picture.text, HasSubstr("tempo node_load1"));
  EXPECT_THAT(picture.text, HasSubstr("0.42"));
  const json series = AsJson({"history", "tempo", "node_load1", "--since", "10m"});
  ASSERT_EQ(series["series"].size(), 1u) << series;
  EXPECT_EQ(series["series"][0]["points"].back()[3], 0.42);
  const Output csv = lab_.Fleetctl(
      {"history", "tempo", "node_cpu_seconds_total{cpu=\"0\"}", "--since", "10m", "-o", "csv"});
  EXPECT_THAT(csv.text, StartsWith("time,labels,min,max,last\n"));
  EXPECT_THAT(csv.text, HasSubstr("mode=\"\"idle\"\""));
  // What is not there, and what makes no sense, each by its name.
  const Output nobody = lab_.Fleetctl({"history", "onix", "node_load1"});
  EXPECT_EQ(nobody.exit_code, 64);
  EXPECT_THAT(nobody.text, HasSubstr("onix"));
  const Output nothing = lab_.Fleetctl({"history", "tempo", "node_lode1"});
  EXPECT_EQ(nothing.exit_code, 64);
  EXPECT_THAT(nothing.text, HasSubstr("node_lode1"));
  EXPECT_EQ(lab_.Fleetctl({"history", "tempo", "node_load1", "--since", "noon"}).exit_code, 64);
}

TEST_F(HistoryCommandsTest, StatusAsItWas) {
  const auto tempo_at = [&](absl::Time time) {
    json found;
    const json status = AsJson({"status", "--at", Rfc3339(time)});
    for (const json& host : status["hosts"]) {
      if (host["name"] == "tempo") found = host;
    }
    return found;
  };
  const json then = tempo_at(during_);
  ASSERT_TRUE(then.is_object()) << lab_.Fleetctl({"status", "--at", Rfc3339(during_)}).text;
  EXPECT_EQ(then["up"], true);
  EXPECT_EQ(then["verdict"], "crit");  // the recorded host has lost a disk
  const Output earlier = lab_.Fleetctl({"status", "--at", Rfc3339(before_ - absl::Minutes(5))});
  EXPECT_EQ(earlier.exit_code, 64);
  EXPECT_THAT(earlier.text, HasSubstr("nothing of any host is known of that moment"));
  const Output text = lab_.Fleetctl({"status", "--at", Rfc3339(during_)});
  EXPECT_THAT(text.text, HasSubstr("tempo/raid"));
  EXPECT_EQ(lab_.Fleetctl({"status", "--at", "tomorrow"}).exit_code, 64);
}

TEST_F(HistoryCommandsTest, EventsSayWhatChanged) {
  FleetLab::AgentOptions strict;
  strict.checks = "  memory: {available_warn: 0.999, available_crit: 0.998}\n";
  lab_.StartAgent("tempo", strict);
  json events;
  EXPECT_TRUE(WaitFor([&] {
    events = AsJson({"events", "tempo", "--since", "10m"});
    return std::any_of(events.begin(), events.end(), [](const json& event) {
      return event["subject"] == "memory" && event["from"] == "ok" && event["to"] == "crit";
    });
  })) << events;
  EXPECT_THAT(lab_.Fleetctl({"events", "tempo"}).text, HasSubstr("memory  ok → crit"));
  EXPECT_EQ(AsJson({"events", "onix"}), json::array());
}

TEST_F(HistoryCommandsTest, AnExportHoldsEverySample) {
  if (!HasProgram("promtool")) GTEST_SKIP() << "promtool is not installed";
  // The collector brings its newest reports into these files in the background.
  size_t runs = 0;
  Output exported;
  do {
    runs = Runs();
    exported = lab_.Fleetctl({"export", "--openmetrics", "--since", "10m"});
    ASSERT_EQ(exported.exit_code, 0) << exported.text.substr(0, 1000);
  } while (Runs() != runs);
  const std::string file = lab_.dir() / "fleet.om";
  WriteFile(file, exported.text);
  const Output made = RunProgram(
      {"promtool", "tsdb", "create-blocks-from", "openmetrics", file, lab_.dir() / "blocks"});
  EXPECT_EQ(made.exit_code, 0) << made.text;
  size_t samples = 0;
  for (const absl::string_view line : absl::StrSplit(exported.text, '\n')) {
    samples += absl::StartsWith(line, "node_load1{") ? 1 : 0;
  }
  EXPECT_EQ(samples, runs);
}

TEST_F(HistoryCommandsTest, AnExportThatIsNotWholeSaysSo) {
  const std::vector<SegmentFile> files = FindSegmentFiles(lab_.journal_dir() + "/hosts/tempo");
  ASSERT_FALSE(files.empty());
  std::string bytes = ReadFile(files[0].path);
  bytes[bytes.size() / 2] ^= 1;
  WriteFile(files[0].path, bytes);
  const Output exported = lab_.Fleetctl({"export", "--openmetrics", "--since", "10m"});
  EXPECT_EQ(exported.exit_code, 1);
  EXPECT_THAT(exported.text, HasSubstr("something is missing of 1 segment of the journal"));
  EXPECT_THAT(exported.text, HasSubstr("node_load1{")) << "what can be read is there";
  EXPECT_THAT(exported.text, HasSubstr("# EOF\n"));
}

}  // namespace
}  // namespace fleet::test
