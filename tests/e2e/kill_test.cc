// Agents and collector killed by SIGKILL at random moments under load: every report that an agent's
// spool ever held is in the journal, exactly once.
#include <signal.h>

#include <random>
#include <set>
#include <tuple>

#include "tests/support/fleet_lab.h"
#include "tests/support/matchers.h"
#include "tests/support/segment_files.h"

namespace fleet::test {
namespace {

constexpr int kRounds = 200;
const std::vector<std::string> kHosts = {"parasect", "tempo"};

class KillTest : public testing::Test {
 protected:
  /// What must be in the journal: the most that any spool was seen to hold of each segment.
  void NoteSpool(const std::string& host) {
    for (const auto& [id, reports] : CountReports(lab_.spool_dir(host))) {
      uint64_t& most = spooled_[host][id];
      most = std::max(most, reports);
    }
  }

  void KillOne() {
    const size_t victim = random_() % (kHosts.size() + 1);
    if (victim == kHosts.size()) {
      // Stopped first: what it has acked lies in the agents' files until the stream breaks.
      lab_.collector().Kill(SIGSTOP);
      for (const std::string& host : kHosts) NoteSpool(host);
      lab_.collector().Kill(SIGKILL);
      ASSERT_TRUE(lab_.collector().Wait(absl::Seconds(10)).has_value());
      lab_.StartCollector();
      return;
    }
    const std::string& host = kHosts[victim];
    lab_.agent(host).Kill(SIGKILL);
    ASSERT_TRUE(lab_.agent(host).Wait(absl::Seconds(10)).has_value());
    NoteSpool(host);
    lab_.StartAgent(host);
  }

  /// An agent numbers its segments from zero: of none there is a later one without those before it.
  void ExpectNoneMissing(const std::string& host, const std::map<SegmentId, uint64_t>& kept,
                         const std::map<SegmentId, uint64_t>& waiting) {
    std::set<SegmentId> there;
    for (const auto& [id, reports] : kept) there.insert(id);
    for (const auto& [id, reports] : waiting) there.insert(id);
    for (const SegmentId& id : there) {
      if (id.number == 0) continue;
      EXPECT_TRUE(there.contains(SegmentId{id.epoch, id.number - 1}))
          << host << " segment " << id.epoch << "-" << id.number << " lacks the one before it";
    }
  }

  /// A random amount of work: so many more bytes in the files of somebody.
  void LetThemWork() {
    const std::string where =
        random_() % 2 == 0 ? lab_.journal_dir() : lab_.spool_dir(kHosts[random_() % 2]);
    const uint64_t before = BytesBelow(where);
    const uint64_t more = 1 + random_() % 4096;
    // Files come and go, so the other direction counts too.
    WaitFor(
        [&] {
          const uint64_t now = BytesBelow(where);
          return now > before + more || now + more < before;
        },
        absl::Milliseconds(50 + static_cast<int64_t>(random_() % 600)));
  }

  FleetLab lab_;
  std::mt19937_64 random_{20261125};
  std::map<std::string, std::map<SegmentId, uint64_t>> spooled_;  // by host
};

TEST_F(KillTest, EveryReportIsInTheJournalExactlyOnce) {
  lab_.StartCollector();
  ASSERT_TRUE(lab_.WaitReady()) << lab_.log("collector");
  for (const std::string& host : kHosts) {
    lab_.StartAgent(host);
    ASSERT_TRUE(WaitFor([&] { return !lab_.Host(host).is_null(); })) << lab_.log(host);
  }
  for (int round = 0; round < kRounds; ++round) {
    LetThemWork();
    ASSERT_NO_FATAL_FAILURE(KillOne());
  }
  for (const std::string& host : kHosts) {
    NoteSpool(host);
    // What is delivered is deleted; the current segment stays.
    EXPECT_TRUE(WaitFor([&] { return FindSegmentFiles(lab_.spool_dir(host)).size() <= 1; },
                        absl::Seconds(60)))
        << host << " still spools: " << lab_.Host(host) << "\n"
        << lab_.log(host);
    EXPECT_EQ(lab_.StopAgent(host), 0) << lab_.log(host);
    NoteSpool(host);
  }
  EXPECT_EQ(lab_.StopCollector(), 0) << lab_.log("collector");

  std::map<SegmentId, uint64_t> kept;
  std::set<std::tuple<std::string, std::string, absl::Time>> runs;  // host, check, start
  uint64_t reports = 0;
  for (const std::string& host : kHosts) {
    for (const SegmentFile& file : FindSegmentFiles(lab_.journal_dir() + "/hosts/" + host)) {
      EXPECT_EQ(file.damage, "") << file.path;
      EXPECT_TRUE(kept.emplace(file.id, file.reports).second) << file.path << " is there twice";
      const std::vector<StoredReport> stored = ReadSegmentFile(file.path);
      EXPECT_EQ(stored.size(), file.reports) << file.path;
      for (const StoredReport& report : stored) {
        EXPECT_TRUE(runs.emplace(host, report.check, report.start).second)
            << host << "/" << report.check << " at " << report.start << " is there twice";
      }
      reports += file.reports;
    }
    // What was written in the last moment may still wait for the agent's next start.
    const std::map<SegmentId, uint64_t> waiting = CountReports(lab_.spool_dir(host));
    for (const auto& [id, most] : spooled_[host]) {
      const auto waits = waiting.find(id);
      if (waits != waiting.end() && waits->second >= most) continue;
      EXPECT_GE(kept[id], most) << host << " segment " << id.epoch << "-" << id.number;
    }
    ExpectNoneMissing(host, kept, waiting);
  }
  // Under load: what is proven of a handful of reports says little.
  EXPECT_GT(reports, 5'000u);
  RecordProperty("reports", static_cast<int>(reports));
}

}  // namespace
}  // namespace fleet::test
