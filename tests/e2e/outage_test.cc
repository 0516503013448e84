// A link that swallows packets and clocks that jump, with the real programs: nothing is lost and
// nobody is called silent who is not.
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/fleet_lab.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/segment_files.h"
#include "tests/support/tsdb_server.h"

namespace fleet::test {
namespace {

bool Inside() { return std::getenv("FLEET_TEST_INSIDE") != nullptr; }

/// When each run of a check started, as the journal has it, sorted.
std::vector<absl::Time> RunsOf(const FleetLab& lab, const std::string& host,
                               const std::string& check) {
  std::vector<absl::Time> starts;
  for (const SegmentFile& file : FindSegmentFiles(lab.journal_dir() + "/hosts/" + host)) {
    for (const StoredReport& report : ReadSegmentFile(file.path)) {
      if (report.check == check) starts.push_back(report.start);
    }
  }
  std::sort(starts.begin(), starts.end());
  return starts;
}

std::string RemoteWriteTo(const TsdbServer& tsdb) {
  return absl::StrCat("remote_write: [\"", tsdb.write_url(), "\"]\n");
}

bool IsUp(const FleetLab& lab, const std::string& host) {
  const auto entry = lab.Host(host);
  return entry.is_object() && entry["up"] == true && entry["ageSeconds"] < 3.0;
}

// ---- a black hole ---------------------------------------------------------------------------

class BlackHoleTest : public testing::Test {
 protected:
  std::string Port() const { return std::to_string(lab_.grpc_port()); }
  /// From now on every packet from or to the collector's gRPC port vanishes without a word.
  void Swallow() {
    const Output output = Shell(absl::StrCat(
        "nft add table inet hole && nft add chain inet hole in '{ type filter hook input priority "
        "0; }' && nft add rule inet hole in tcp dport ",
        Port(), " drop && nft add rule inet hole in tcp sport ", Port(), " drop"));
    ASSERT_EQ(output.exit_code, 0) << output.text;
  }
  void LetThrough() { EXPECT_EQ(Shell("nft delete table inet hole").exit_code, 0); }
  static std::string Series(absl::string_view lane) {
    return absl::StrCat("fleet_collector_reports_total{lane=\"", lane, "\"}");
  }

  /// What must be in the journal: the most that the spool was seen to hold of each segment.
  void NoteSpool() {
    for (const auto& [id, reports] : CountReports(lab_.spool_dir("tempo"))) {
      spooled_[id] = std::max(spooled_[id], reports);
    }
  }
  /// Reports that the agent's files hold, of all segments.
  uint64_t Spooled() {
    uint64_t reports = 0;
    for (const auto& [id, count] : CountReports(lab_.spool_dir("tempo"))) reports += count;
    return reports;
  }

  FleetLab lab_;
  std::map<SegmentId, uint64_t> spooled_;
};

TEST_F(BlackHoleTest, NothingIsLostAndNoGapIsLeft) {
  if (!Inside()) GTEST_SKIP() << "a black hole needs root and a network namespace";
  lab_.UseCertificates();
  TsdbServer tsdb(TsdbServer::Kind::kShipped);
  ASSERT_TRUE(tsdb.Start()) << tsdb.log();
  FleetLab::CollectorOptions collector;
  collector.extra = RemoteWriteTo(tsdb);
  lab_.StartCollector(collector);
  ASSERT_TRUE(lab_.WaitReady()) << lab_.log("collector");
  FleetLab::AgentOptions agent;
  agent.interval = "200ms";
  lab_.StartAgent("tempo", agent);
  ASSERT_TRUE(WaitFor([&] { return IsUp(lab_, "tempo"); })) << lab_.log("tempo");

  Swallow();
  const absl::Time cut = absl::Now();
  EXPECT_TRUE(WaitFor(
      [&] {
        return absl::StrContains(lab_.log("tempo"), "no stream") &&
               absl::StrContains(lab_.log("collector"), "agent disconnected");
      },
      absl::Seconds(40)))
      << lab_.log("tempo") << lab_.log("collector");
  EXPECT_LT(absl::Now() - cut, absl::Seconds(30)) << "a black hole is noticed by both in 30 s";
  const uint64_t before = Spooled();
  EXPECT_GT(before, 100u);  // of half a minute at five ticks a second
  lab_.agent("tempo").Kill(SIGKILL);
  ASSERT_TRUE(lab_.agent("tempo").Wait(absl::Seconds(10)).has_value());
  NoteSpool();
  lab_.StartAgent("tempo", agent);
  EXPECT_TRUE(WaitFor([&] { return Spooled() > before + 100; }));
  NoteSpool();
  const std::string at_the_cut = HttpGet(lab_.url("/metrics/self")).body;
  const double live = MetricIn(at_the_cut, Series("live"));
  const double backlog = MetricIn(at_the_cut, Series("backlog"));
  LetThrough();

  // What is now comes first: nothing of the past before something of the present.
  EXPECT_TRUE(WaitFor(
      [&] {
        const std::string metrics = HttpGet(lab_.url("/metrics/self")).body;  // of one moment
        const double past = MetricIn(metrics, Series("backlog"));
        const double present = MetricIn(metrics, Series("live"));
        EXPECT_TRUE(past <= backlog || present > live) << past << " and " << present;
        return past > backlog;
      },
      absl::Seconds(40)))
      << lab_.log("tempo");
  nlohmann::json host;
  EXPECT_TRUE(WaitFor(
      [&] {
        host = lab_.Host("tempo");
        return host.is_object() && host["ageSeconds"] < 3.0 && host["spoolReports"] == 0;
      },
      absl::Seconds(60)))
      << lab_.log("tempo");
  NoteSpool();
  EXPECT_EQ(lab_.StopAgent("tempo"), 0);
  std::vector<absl::Time> runs;
  std::optional<double> count;
  EXPECT_TRUE(WaitFor(
      [&] {
        runs = RunsOf(lab_, "tempo", "load");
        count = tsdb.Query("count_over_time(node_load1{instance=\"tempo\"}[10m])", absl::Now());
        return count.has_value() && *count == static_cast<double>(runs.size());
      },
      absl::Seconds(60)))
      << runs.size() << " runs in the journal, " << count.value_or(-1) << " in Prometheus\n"
      << HttpGet(lab_.url("/metrics/self")).body;
  const std::map<SegmentId, uint64_t> kept = CountReports(lab_.journal_dir() + "/hosts/tempo");
  // What was under way at the end waits for the agent's next start.
  const std::map<SegmentId, uint64_t> waiting = CountReports(lab_.spool_dir("tempo"));
  for (const auto& [id, most] : spooled_) {
    const auto waits = waiting.find(id);
    if (waits != waiting.end() && waits->second >= most) continue;
    const auto found = kept.find(id);
    EXPECT_GE(found == kept.end() ? 0 : found->second, most) << id.epoch << "-" << id.number;
  }
  // The restart of the agent takes its time; nothing else does.
  int gaps = 0;
  for (size_t i = 1; i < runs.size(); ++i) {
    gaps += runs[i] - runs[i - 1] > absl::Seconds(2) ? 1 : 0;
    EXPECT_LT(runs[i] - runs[i - 1], absl::Seconds(5)) << "a gap after " << runs[i - 1];
    EXPECT_GT(runs[i], runs[i - 1]) << "twice";
  }
  EXPECT_LE(gaps, 1);
  EXPECT_EQ(tsdb.Query("resets(node_context_switches_total{instance=\"tempo\"}[10m])", absl::Now()),
            0);
}

// ---- clocks that jump -----------------------------------------------------------------------

class ClockJumpTest : public testing::Test {
 protected:
  /// Of this machine's architecture; empty: not installed.
  static std::string FindLibrary() {
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib")) {
      const std::filesystem::path library = entry.path() / "faketime/libfaketimeMT.so.1";
      std::error_code error;
      if (std::filesystem::exists(library, error)) return library;
    }
    return "";
  }

  void SetUp() override {
    if (library_.empty()) GTEST_SKIP() << "libfaketime is not installed";
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "libfaketime and AddressSanitizer both want to be loaded first";
#endif
    lab_.UseCertificates();  // whose dates are looked at by clocks that jump
  }
  void TearDown() override {
    if (IsSkipped()) return;
    const std::string metrics = HttpGet(lab_.url("/metrics/self")).body;
    EXPECT_THAT(metrics, testing::HasSubstr("fleet_collector_reports_total"));
    EXPECT_THAT(metrics, testing::Not(testing::HasSubstr("fleet_collector_rejected_total{")));
  }

  /// What makes a program believe `offset`, read anew at each look at the wall clock.
  std::vector<std::pair<std::string, std::string>> Environment() {
    return {{"LD_PRELOAD", library_},
            {"FAKETIME_TIMESTAMP_FILE", lab_.dir() / "offset"},
            {"FAKETIME_NO_CACHE", "1"},
            {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}};
  }
  void Jump(absl::string_view offset) { WriteFile(lab_.dir() / "offset", offset); }

  /// Reports that came since, of both hosts, while neither was called silent.
  void ExpectFreshReports(const std::string& when) {
    const double before = Reports();
    EXPECT_TRUE(WaitFor([&] { return Reports() > before + 40; })) << when;
    for (const std::string host : {"tempo", "parasect"}) {
      EXPECT_TRUE(WaitFor([&] { return IsUp(lab_, host); })) << when << ": " << lab_.Host(host);
    }
  }
  double Reports() const { return lab_.SelfMetric("fleet_collector_reports_total{lane=\"live\"}"); }

  /// `fleetctl hosts` says that these hosts' clocks are wrong, and by how much; the others' are
  /// not.
  void ExpectSkews(const std::map<std::string, std::string>& skews) {
    std::string text;
    EXPECT_TRUE(WaitFor([&] {
      text = lab_.Fleetctl({"hosts"}).text;
      for (const absl::string_view line : absl::StrSplit(text, '\n')) {
        const std::string host(line.substr(0, line.find(' ')));
        const auto skew = skews.find(host);
        if (skew != skews.end() && !absl::StrContains(line, skew->second)) return false;
        if (skew == skews.end() && absl::StrContains(line, "24 h")) return false;
      }
      return absl::StrContains(text, "parasect") && absl::StrContains(text, "tempo");
    })) << text;
  }

  const std::string library_ = FindLibrary();
  FleetLab lab_;
};

TEST_F(ClockJumpTest, AnAgentsClockHarmsNobody) {
  TsdbServer tsdb(TsdbServer::Kind::kPrometheus);
  ASSERT_TRUE(tsdb.Start()) << tsdb.log();
  FleetLab::CollectorOptions collector;
  collector.extra = RemoteWriteTo(tsdb);
  lab_.StartCollector(collector);
  ASSERT_TRUE(lab_.WaitReady()) << lab_.log("collector");
  Jump("+0");
  FleetLab::AgentOptions jumping;
  jumping.environment = Environment();
  lab_.StartAgent("tempo", jumping);
  lab_.StartAgent("parasect");
  ExpectFreshReports("at first");
  Jump("+1d");
  ExpectFreshReports("a day ahead");
  ExpectSkews({{"tempo", "+24 h"}});
  Jump("-1d");
  ExpectFreshReports("a day behind");
  ExpectSkews({{"tempo", "-24 h"}});
  Jump("+0");
  ExpectFreshReports("right again");

  for (const std::string host : {"tempo", "parasect"}) {
    EXPECT_EQ(lab_.StopAgent(host), 0) << lab_.log(host);
    std::optional<double> count;
    size_t runs = 0;
    EXPECT_TRUE(WaitFor(
        [&] {
          runs = RunsOf(lab_, host, "load").size();
          count =
              tsdb.Query(absl::StrCat("count_over_time(node_load1{instance=\"", host, "\"}[10m])"),
                         absl::Now());
          return count.has_value() && *count == static_cast<double>(runs);
        },
        absl::Seconds(40)))
        << host << ": " << runs << " runs in the journal, " << count.value_or(-1)
        << " in Prometheus\n"
        << HttpGet(lab_.url("/metrics/self")).body;
  }
}

TEST_F(ClockJumpTest, TheCollectorsClockMakesNobodySilent) {
  Jump("+0");
  FleetLab::CollectorOptions jumping;
  jumping.environment = Environment();
  lab_.StartCollector(jumping);
  ASSERT_TRUE(lab_.WaitReady()) << lab_.log("collector");
  for (const std::string host : {"tempo", "parasect"}) lab_.StartAgent(host);
  ExpectFreshReports("at first");
  for (const auto& [offset, skew] : std::vector<std::pair<std::string, std::string>>{
           {"+1d", "-24 h"}, {"-1d", "+24 h"}, {"+0", ""}}) {
    Jump(offset);
    ExpectFreshReports(offset);
    EXPECT_EQ(lab_.Status()["verdict"] == "unknown", false) << offset;
    // By its own clock, which is all it has, it is the others that are wrong.
    if (!skew.empty()) ExpectSkews({{"tempo", skew}, {"parasect", skew}});
  }
}

TEST_F(ClockJumpTest, TheCollectorsClockPutsNothingIntoTheFutureOfATsdb) {
  TsdbServer tsdb(TsdbServer::Kind::kPrometheus);
  ASSERT_TRUE(tsdb.Start()) << tsdb.log();
  const auto newest_after = [&](absl::Time since) {
    return WaitFor(
        [&] {
          const auto at = tsdb.Query("timestamp(node_load1{instance=\"tempo\"})", absl::Now());
          return at.has_value() && absl::UnixEpoch() + absl::Seconds(*at) > since;
        },
        absl::Seconds(40));
  };
  Jump("+0");
  FleetLab::CollectorOptions jumping;
  jumping.environment = Environment();
  jumping.extra = RemoteWriteTo(tsdb);
  lab_.StartCollector(jumping);
  ASSERT_TRUE(lab_.WaitReady()) << lab_.log("collector");
  lab_.StartAgent("tempo");
  lab_.StartAgent("parasect");
  ASSERT_TRUE(newest_after(absl::Now())) << lab_.log("collector");
  Jump("+1d");
  ExpectFreshReports("a day ahead");
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(lab_.log("collector"), "ahead of its own"); }))
      << lab_.log("collector");
  Jump("+0");
  EXPECT_TRUE(newest_after(absl::Now())) << HttpGet(lab_.url("/metrics/self")).body;
  EXPECT_EQ(tsdb.Query("count(node_load1)", absl::Now() + absl::Hours(24)), std::nullopt);
  // A day behind, what it stamps is older than what the TSDB has: refused there, counted here, and
  // no hindrance afterwards.
  Jump("-1d");
  ExpectFreshReports("a day behind");
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(HttpGet(lab_.url("/metrics/self")).body,
                             "fleet_collector_remote_write_dropped_samples_total{");
  })) << HttpGet(lab_.url("/metrics/self")).body;
  Jump("+0");
  EXPECT_TRUE(newest_after(absl::Now())) << HttpGet(lab_.url("/metrics/self")).body;
}

// ---- kill -9 --------------------------------------------------------------------------------

TEST(RemoteWriteKillTest, NoSampleIsLostAndNoneIsTwice) {
  constexpr int kKills = 12;
  TsdbServer tsdb(TsdbServer::Kind::kPrometheus);
  ASSERT_TRUE(tsdb.Start()) << tsdb.log();
  FleetLab lab;
  FleetLab::CollectorOptions collector;
  collector.extra = RemoteWriteTo(tsdb);
  lab.StartCollector(collector);
  ASSERT_TRUE(lab.WaitReady()) << lab.log("collector");
  lab.StartAgent("tempo");
  for (int i = 0; i < kKills; ++i) {
    // Each time after something was sent, and each time a little later.
    EXPECT_TRUE(WaitFor([&] {
      return absl::StrContains(HttpGet(lab.url("/metrics/self")).body,
                               "fleet_collector_remote_write_samples_total{") &&
             lab.SelfMetric("fleet_collector_journal_commits_total") > i % 4;
    })) << lab.log("collector");
    lab.collector().Kill(SIGKILL);
    ASSERT_TRUE(lab.collector().Wait(absl::Seconds(10)).has_value());
    lab.StartCollector(collector);
  }
  EXPECT_TRUE(WaitFor([&] { return FindSegmentFiles(lab.spool_dir("tempo")).size() <= 1; },
                      absl::Seconds(60)));
  EXPECT_EQ(lab.StopAgent("tempo"), 0) << lab.log("tempo");
  std::optional<double> count;
  size_t runs = 0;
  EXPECT_TRUE(WaitFor(
      [&] {
        runs = RunsOf(lab, "tempo", "load").size();
        count = tsdb.Query("count_over_time(node_load1{instance=\"tempo\"}[10m])", absl::Now());
        return runs > 20 && count == static_cast<double>(runs);
      },
      absl::Seconds(60)))
      << runs << " runs in the journal, " << count.value_or(-1) << " in Prometheus\n"
      << HttpGet(lab.url("/metrics/self")).body << lab.log("collector") << tsdb.log();
  EXPECT_EQ(tsdb.Query("resets(node_context_switches_total{instance=\"tempo\"}[10m])", absl::Now()),
            0);
}

}  // namespace
}  // namespace fleet::test
