// Remote-write sends the very series that /metrics serves.
#include <gmock/gmock.h>

#include <set>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "collector/exposition.h"
#include "collector/remote_write/remote_write.h"
#include "common/labels.h"
#include "tests/support/process.h"
#include "tests/support/random_report.h"
#include "tests/support/receiver_rig.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::kFirst;
using ::fleet::test::MakeReport;
using ::fleet::test::ReceiverRig;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// `name{a="b"} 1` as FakeReceiver writes it: labels sorted, escapes resolved.
std::string Normal(absl::string_view line, double* value) {
  const size_t brace = line.find('{');
  const size_t end = line.rfind('}');
  auto labels = ParseLabels(line.substr(brace + 1, end - brace - 1));
  EXPECT_THAT(labels, IsOk()) << line;
  std::vector<std::string> texts;
  for (const auto& [name, text] : *labels) {
    if (!text.empty()) texts.push_back(absl::StrCat(name, "=\"", text, "\""));
  }
  std::sort(texts.begin(), texts.end(), [](const std::string& a, const std::string& b) {
    return a.substr(0, a.find('=')) < b.substr(0, b.find('='));
  });
  const std::string number(line.substr(end + 2));
  *value = std::strtod(number.c_str(), nullptr);
  return absl::StrCat(line.substr(0, brace), "{", absl::StrJoin(texts, ","), "}");
}

TEST(ParityTest, SendsWhatMetricsServes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    ReceiverRig rig({.window = absl::Hours(1), .head = absl::Hours(1), .refuse = nullptr});
    StateOptions options;
    options.limits.series_per_host = 40;
    FleetState state(rig.clock, options);
    rig.context.limits.series = 40;
    rig.snapshot = [&state] { return state.Snapshot(); };
    rig.Restart();
    test::StateFeeder feeder(state, rig.clock);
    test::RandomReports random(seed);
    rig.source.Open("tempo", kFirst, rig.start);
    Report odd = MakeReport("odd", {{R"(node_odd{instance="x",job="y",host="z"})", 1},
                                    {R"(fleet_odd{host="z",exported_host="w"})", 2},
                                    {R"(node_empty{a="",b="c"})", 3},
                                    {"fleet_host_up", 4},
                                    {R"(node_quoted{a="x\"y\\z\nw"})", 5}});
    for (int i = 0; i < 30; ++i) {
      Report report = i % 5 == 0 ? odd : random.Next();
      report.interval = absl::Hours(1);
      report.start = rig.clock.Now();
      ASSERT_THAT(feeder.Send("tempo", report), IsOk());
      rig.source.Append("tempo", kFirst, report);
      rig.Advance(absl::Milliseconds(500));
    }
    rig.Advance(absl::Seconds(15));  // the collector's own view is of now

    std::map<std::string, double> served;
    Exposition exposition(state.Snapshot(), ExpositionFormat::kText);
    for (absl::string_view piece = exposition.Next(); !piece.empty(); piece = exposition.Next()) {
      for (const absl::string_view line : absl::StrSplit(piece, '\n', absl::SkipEmpty())) {
        if (line[0] == '#') continue;
        double value = 0;
        const std::string name = Normal(line, &value);
        served[name] = value;
      }
    }
    std::set<std::string> sent;
    for (const auto& [name, samples] : rig.tsdb.series) {
      uint64_t bits = 0;
      std::memcpy(&bits, &samples.back().value, sizeof bits);
      if (bits == 0x7ff0000000000002) continue;
      sent.insert(name);
      ASSERT_TRUE(served.contains(name)) << name;
      const double value = samples.back().value;
      // When something arrived is not when it was reported.
      if (absl::StrContains(name, "_timestamp_seconds")) continue;
      EXPECT_TRUE(value == served[name] || (std::isnan(value) && std::isnan(served[name])))
          << name << " " << value << " " << served[name];
    }
    for (const auto& [name, value] : served) EXPECT_TRUE(sent.contains(name)) << name;
    EXPECT_EQ(rig.receiver->stats().dropped(), 0u);
  }
}

TEST(ReceiverNoteTest, SaysOnlyWhatIsWrong) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  ReceiverStats stats;
  EXPECT_EQ(ReceiverNote("tsdb", stats, now), "");
  stats.lag = absl::Minutes(10);
  EXPECT_EQ(ReceiverNote("tsdb", stats, now), "");
  stats.lag = absl::Minutes(20);
  EXPECT_EQ(ReceiverNote("tsdb", stats, now), "remote-write tsdb: is 20 min behind");
  stats.lag = absl::ZeroDuration();
  stats.failing_since = now - absl::Minutes(1);
  stats.failure = "connection refused";
  EXPECT_EQ(ReceiverNote("tsdb", stats, now), "");
  stats.failing_since = now - absl::Minutes(5);
  stats.lost_reports = 3;
  stats.samples.Drop(DropReason::kTooOld, 7);
  EXPECT_EQ(ReceiverNote("tsdb", stats, now),
            "remote-write tsdb: takes nothing since 5 min (connection refused); 3 reports left the "
            "journal unsent; 7 samples dropped: too_old");
}

TEST(RemoteWriteTest, ReceiversDoNotWaitForEachOtherAndStopAtOnce) {
  test::MemorySegmentSource source(Clock::Real());
  FleetState state(Clock::Real(), StateOptions{});
  auto cursors = OpenCursors("");
  ASSERT_THAT(cursors, IsOk());
  source.Open("tempo", kFirst, absl::Now());
  Report report = MakeReport("load", {{"node_load1", 1}});
  report.start = absl::Now();
  source.Append("tempo", kFirst, report);
  std::vector<ReceiverOptions> receivers(2);
  for (int i = 0; i < 2; ++i) {
    receivers[i].name = absl::StrCat("nobody", i);
    receivers[i].url = absl::StrCat("http://127.0.0.1:", test::FreePort(), "/write");
  }
  SelfMetrics metrics;
  RemoteWrite writer(receivers, {Clock::Real(), source, state, **cursors});
  state.SetNoteSource([&](std::vector<std::string>& notes) { writer.AddNotes(notes); });
  EXPECT_TRUE(test::WaitFor([&] {
    const auto stats = writer.stats();
    return stats[0].failed_requests > 0 && stats[1].failed_requests > 0;
  }));
  writer.SetMetrics(metrics);
  EXPECT_EQ(state.Status({}).notes_size(), 0);
  EXPECT_THAT(
      metrics.Render(),
      AllOf(HasSubstr("fleet_collector_remote_write_pending_segments{receiver=\"nobody0\"} 1"),
            HasSubstr("fleet_collector_remote_write_dropped_samples_total{reason=\"too_old\","
                      "receiver=\"nobody1\"} 0")));
  state.SetNoteSource(nullptr);
}

}  // namespace
}  // namespace fleet::collector
