// Both disks of a fleet full, with the real programs on small filesystems: nobody crashes, nothing
// is said to be safe that is not, what is dropped is counted, and space again is all it takes.
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "absl/strings/match.h"
#include "tests/support/fleet_lab.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/segment_files.h"

namespace fleet::test {
namespace {

using ::testing::HasSubstr;

class DiskFullTest : public testing::Test {
 protected:
  static constexpr int kLinks = 300;

  void SetUp() override {
    if (std::getenv("FLEET_TEST_INSIDE") == nullptr) {
      GTEST_SKIP() << "a small filesystem needs root and a mount namespace";
    }
    lab_.UseCertificates();
    Mount(lab_.collector_dir());
    Mount(lab_.agent_dir("tempo"));
    // A host whose links all change all the time fills any memory soon.
    std::filesystem::copy(FleetLab::RecordedRoot(), root_,
                          std::filesystem::copy_options::recursive);
    for (int link = 1; link < kLinks; ++link) {
      std::filesystem::copy(root_ + "/sys/class/net/eth0",
                            absl::StrCat(root_, "/sys/class/net/eth", link),
                            std::filesystem::copy_options::recursive);
    }
    Traffic();
    agent_.root = root_;
  }
  void TearDown() override {
    for (const std::string& path : mounted_) ::umount2(path.c_str(), MNT_DETACH);
    if (HasFailure())
      std::fprintf(stderr, "%s%s", lab_.log("collector").c_str(), lab_.log("tempo").c_str());
  }

  void Mount(const std::string& path) {
    std::filesystem::create_directories(path);
    ASSERT_EQ(::mount("tmpfs", path.c_str(), "tmpfs", 0, "size=48m,mode=755"), 0);
    mounted_.push_back(path);
  }
  static std::string Filler(const std::string& path) { return path + "/filler"; }
  void Fill(const std::string& path) {
    EXPECT_NE(Shell("cat /dev/zero > " + Filler(path)).exit_code, 0) << "it is not small";
  }
  void MakeRoom(const std::string& path) { std::filesystem::remove(Filler(path)); }

  /// Other numbers for each of the host's links.
  void Traffic() {
    std::string text =
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
        "drop fifo colls carrier compressed\n";
    for (int link = 0; link < kLinks; ++link) {
      absl::StrAppend(&text, "eth", link, ":");
      for (int field = 0; field < 16; ++field)
        absl::StrAppend(&text, " ", random_() % 1'000'000'000);
      absl::StrAppend(&text, "\n");
    }
    WriteFile(root_ + "/proc/net/dev", text);
  }
  /// Waits while the host's links are busy.
  template <typename Done>
  bool WaitBusy(Done done, absl::Duration most = absl::Seconds(60)) {
    return WaitFor(
        [&] {
          Traffic();
          return done();
        },
        most);
  }

  nlohmann::json Tempo() const { return lab_.Host("tempo"); }
  bool IsFresh() const {
    const nlohmann::json host = Tempo();
    return host.is_object() && host["up"] == true && host["ageSeconds"] < 3.0;
  }
  /// Reports that the agent's files hold, of all segments.
  uint64_t Spooled() const {
    uint64_t reports = 0;
    for (const auto& [id, count] : CountReports(lab_.spool_dir("tempo"))) reports += count;
    return reports;
  }
  /// Everything is delivered but what is under way.
  bool IsDrained() const {
    return IsFresh() && Tempo()["spoolReports"] == 0 &&
           FindSegmentFiles(lab_.spool_dir("tempo")).size() <= 1;
  }
  double Dropped() const {
    return MetricIn(
        HttpGet(lab_.url("/metrics")).body,
        "fleet_spool_dropped_reports_total{instance=\"tempo\",job=\"fleet\",host=\"tempo\"}");
  }
  bool CollectorSays(absl::string_view text) const {
    return absl::StrContains(lab_.log("collector"), text);
  }
  void NoteSpool() {
    for (const auto& [id, reports] : CountReports(lab_.spool_dir("tempo"))) {
      spooled_[id] = std::max(spooled_[id], reports);
    }
  }

  FleetLab lab_;
  FleetLab::AgentOptions agent_;
  TempDir dir_;
  const std::string root_ = dir_ / "root";
  std::vector<std::string> mounted_;
  std::mt19937_64 random_{20261126};
  std::map<SegmentId, uint64_t> spooled_;  // the most that the spool was seen to hold
};

TEST_F(DiskFullTest, EitherSideGoesOnAndRecoversByItself) {
  lab_.StartCollector();
  ASSERT_TRUE(lab_.WaitReady());
  lab_.StartAgent("tempo", agent_);
  ASSERT_TRUE(WaitBusy([&] { return IsFresh(); }));

  // The collector's disk: what is new is shown, nothing is acked, the agent keeps it.
  Fill(lab_.collector_dir());
  ASSERT_TRUE(WaitBusy([&] { return CollectorSays("the journal's disk refuses to write"); }));
  const uint64_t before = Spooled();
  EXPECT_TRUE(WaitBusy([&] { return Spooled() > before + 50; })) << Tempo();
  EXPECT_TRUE(IsFresh());
  EXPECT_THAT(lab_.Fleetctl({"status"}).text, HasSubstr("the journal cannot write"));
  EXPECT_EQ(Dropped(), 0);
  NoteSpool();

  // It is killed and starts on a full disk too, and serves.
  lab_.collector().Kill(SIGKILL);
  ASSERT_TRUE(lab_.collector().Wait(absl::Seconds(10)).has_value());
  lab_.StartCollector();
  ASSERT_TRUE(lab_.WaitReady());
  EXPECT_TRUE(WaitBusy([&] { return IsFresh(); })) << Tempo();

  // The agent's disk as well: a few MiB are kept in memory, what does not fit is dropped, counted
  // and said; live goes on.
  Fill(lab_.agent_dir("tempo"));
  ASSERT_TRUE(
      WaitBusy([&] { return absl::StrContains(lab_.log("tempo"), "the spool cannot write"); }));
  NoteSpool();
  EXPECT_TRUE(WaitBusy([&] { return Dropped() > 0; })) << Tempo();
  EXPECT_TRUE(IsFresh());
  EXPECT_THAT(lab_.Fleetctl({"status", "tempo"}).text, HasSubstr("dropped from its spool"));
  EXPECT_EQ(lab_.StopAgent("tempo"), 0);
  EXPECT_THAT(lab_.log("tempo"), HasSubstr("end with the agent")) << "what memory had is lost";
  lab_.StartAgent("tempo", agent_);
  EXPECT_TRUE(WaitBusy([&] { return IsFresh(); })) << Tempo();

  // Space again is all it takes.
  MakeRoom(lab_.agent_dir("tempo"));
  MakeRoom(lab_.collector_dir());
  ASSERT_TRUE(WaitBusy([&] { return CollectorSays("the journal's disk writes again"); }));
  EXPECT_TRUE(WaitBusy([&] { return IsDrained(); })) << Tempo();
  NoteSpool();
  EXPECT_TRUE(WaitBusy([&] {
    return absl::StrContains(lab_.Fleetctl({"events", "tempo"}).text, "reports dropped");
  })) << "events wait for the disk too";
  EXPECT_EQ(lab_.StopAgent("tempo"), 0);
  EXPECT_EQ(lab_.StopCollector(), 0);
  const std::map<SegmentId, uint64_t> kept = CountReports(lab_.journal_dir() + "/hosts/tempo");
  EXPECT_GE(spooled_.size(), 2u);
  for (const auto& [id, most] : spooled_) {
    const auto found = kept.find(id);
    EXPECT_GE(found == kept.end() ? 0 : found->second, most)
        << "segment " << id.epoch << "-" << id.number << " was in the spool and is lost";
  }
}

}  // namespace
}  // namespace fleet::test
