// The agent's end of the wire: a real spool on a real disk, real uplinks, a collector in our hand.
#include "agent/uplink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/spool.h"
#include "tests/support/fake_ingest.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/spool_fixture.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeIngest;
using ::fleet::test::SpoolReport;
using ::fleet::test::WaitFor;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr auto kLive = v1::Hello::LANE_LIVE;
constexpr auto kBacklog = v1::Hello::LANE_BACKLOG;

class UplinkTest : public ::testing::Test {
 protected:
  ~UplinkTest() override { Stop(); }

  /// Starts the agent's half: a spool, and an uplink to each collector.
  void Start(const std::vector<std::string>& collectors, bool on_disk = true) {
    SpoolOptions options;
    if (on_disk) options.directory = dir_ / "spool";
    options.collectors = collectors;
    options.epoch = ++epoch_;
    spool_ = std::make_unique<Spool>(options, FileSystem::Real(), Clock::Real(), BootClock::Real());
    for (size_t i = 0; i < collectors.size(); ++i) {
      UplinkOptions uplink;
      uplink.collector = collectors[i];
      uplink.number = i;
      uplink.insecure = true;
      uplink.host = "tempo";
      uplink.interval = absl::Seconds(1);
      uplink.refresh = [this](const std::vector<std::string>& checks) {
        MutexLock lock(mutex_);
        refreshed_.insert(checks.begin(), checks.end());
      };
      uplinks_.push_back(std::make_unique<Uplink>(uplink, *spool_, Clock::Real()));
    }
  }
  void Stop() {
    uplinks_.clear();
    spool_.reset();
  }

  void Add(size_t reason_bytes = 0) {
    Report report = SpoolReport("load", added_, absl::Now());
    report.reason = std::string(reason_bytes, static_cast<char>('a' + added_ % 26));
    spool_->Add(report);
    ++added_;
  }
  /// Fills the spool with this many closed segments, at the disk's pace.
  void Fill(size_t segments) {
    while (spool_->ClosedSegments().size() < segments) {
      for (int i = 0; i < 200; ++i) Add(4000);
      ASSERT_TRUE(WaitFor([&] {
        uint64_t bytes = 0;
        const auto entries = FileSystem::Real().List(dir_ / "spool");
        for (size_t i = 0; entries.ok() && i < entries->size(); ++i) bytes += (*entries)[i].bytes;
        return bytes >= spool_->stats(0).bytes;
      }));
    }
    EXPECT_EQ(spool_->stats(0).dropped_reports, 0u);
  }
  /// Returns when live would start a fresh segment.
  void WaitUntilOld() {
    ASSERT_TRUE(WaitFor([&] { return spool_->stats(0).oldest_age > Spool::kLiveStartAge; }));
  }
  /// Every report that was added, each once, whatever the order.
  bool AllArrived(const FakeIngest& collector) const {
    const std::vector<std::string> journal = collector.journal();
    const std::set<std::string> distinct(journal.begin(), journal.end());
    return journal.size() == static_cast<size_t>(added_) && distinct.size() == journal.size();
  }
  std::set<std::string> refreshed() {
    MutexLock lock(mutex_);
    return refreshed_;
  }
  std::vector<std::string> SpoolFiles() const {
    std::vector<std::string> names;
    const auto entries = FileSystem::Real().List(dir_ / "spool");
    if (!entries.ok()) return names;
    for (const FileSystem::Entry& entry : *entries) names.push_back(entry.name);
    return names;
  }

  const test::TempDir dir_;
  uint64_t epoch_ = 0;
  int added_ = 0;
  std::unique_ptr<Spool> spool_;
  std::vector<std::unique_ptr<Uplink>> uplinks_;
  Mutex mutex_;
  std::set<std::string> refreshed_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(UplinkTest, EveryReportArrivesOnceThoughTheCollectorDiesAndTheAgentRestarts) {
  FakeIngest collector;
  Start({collector.address()});
  ASSERT_TRUE(WaitFor([&] { return uplinks_[0]->connected(); }));
  for (int i = 0; i < 5; ++i) Add();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }));

  collector.Die();
  ASSERT_TRUE(WaitFor([&] { return !uplinks_[0]->connected(); }));
  for (int i = 0; i < 5; ++i) Add();
  Stop();
  Start({collector.address()});
  for (int i = 0; i < 5; ++i) Add();
  WaitUntilOld();
  collector.Revive();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }, absl::Seconds(40)))
      << ::testing::PrintToString(collector.journal());
  EXPECT_THAT(refreshed(), ElementsAre("load"));
  Add();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }));
  EXPECT_EQ(collector.arrivals().back().lane, kLive);
  EXPECT_THAT(collector.faults(), IsEmpty());
  Stop();
  EXPECT_THAT(SpoolFiles(), IsEmpty());
}

TEST_F(UplinkTest, LiveComesFirstAndIsNotDelayedByABacklogThatStands) {
  // A few MiB from an earlier run.
  Start({"127.0.0.1:1"});
  Fill(10);
  Stop();
  FakeIngest collector;
  collector.SetAcking(kBacklog, false);
  Start({collector.address()});
  Add();
  ASSERT_TRUE(WaitFor([&] { return collector.unacked_bytes(kBacklog) > 0; }));
  EXPECT_EQ(collector.arrivals().front().lane, kLive);
  // The backlog stands at its bound; live goes on.
  for (int i = 0; i < 20; ++i) {
    Add();
    const std::string line = absl::StrCat("load ", added_ - 1);
    ASSERT_TRUE(WaitFor(
        [&] {
          const auto arrivals = collector.arrivals();
          return std::any_of(arrivals.begin(), arrivals.end(), [&](const FakeIngest::Arrival& one) {
            return one.lane == kLive && !one.reports.empty() && one.reports.back() == line;
          });
        },
        absl::Seconds(2)));
    EXPECT_LE(collector.unacked_bytes(kBacklog), Spool::kUnackedBytesMax);
  }
  EXPECT_FALSE(AllArrived(collector));
  // What was withheld is acked with the next message of a new stream.
  collector.SetAcking(kBacklog, true);
  Stop();
  Start({collector.address()});
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }, absl::Seconds(40)));
  EXPECT_THAT(collector.faults(), IsEmpty());
  EXPECT_TRUE(WaitFor([&] { return spool_->stats(0).reports == 0; }));
}

TEST_F(UplinkTest, ADayOfBacklogDrainsInSeconds) {
  Start({"127.0.0.1:1"});
  Fill(12);
  Stop();
  FakeIngest collector;
  const absl::Time start = absl::Now();
  Start({collector.address()});
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }, absl::Seconds(30)));
  RecordProperty("drain_ms", static_cast<int>(absl::ToInt64Milliseconds(absl::Now() - start)));
  for (const FakeIngest::Arrival& arrival : collector.arrivals()) {
    EXPECT_LE(arrival.bytes, Spool::kChunkBytes);
    EXPECT_TRUE(arrival.age_seconds.has_value());
  }
}

TEST_F(UplinkTest, WhatTheCollectorHasIsNotSentAgain) {
  FakeIngest collector;
  collector.SetRemembering(true);
  collector.SetAcking(kLive, false);
  Start({collector.address()});
  for (int i = 0; i < 3; ++i) Add();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }));
  Stop();
  EXPECT_THAT(SpoolFiles(), SizeIs(1));
  const size_t arrivals = collector.arrivals().size();
  collector.SetAcking(kLive, true);
  Start({collector.address()});
  ASSERT_TRUE(WaitFor(
      [&] {
        const auto hellos = collector.hellos();
        return hellos.back().lane() == kBacklog || SpoolFiles().empty();
      },
      absl::Seconds(40)));
  ASSERT_TRUE(WaitFor([&] { return SpoolFiles().empty(); }));
  EXPECT_EQ(collector.arrivals().size(), arrivals);
}

TEST_F(UplinkTest, ACollectorThatIsAwayGetsEverythingLaterAndDelaysNobody) {
  FakeIngest here;
  FakeIngest away;
  away.Die();
  Start({here.address(), away.address()});
  ASSERT_TRUE(WaitFor([&] { return uplinks_[0]->connected(); }));
  for (int i = 0; i < 10; ++i) Add();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(here); }));
  WaitUntilOld();
  away.Revive();
  ASSERT_TRUE(WaitFor([&] { return uplinks_[1]->connected(); }, absl::Seconds(40)));
  Add();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(here) && AllArrived(away); }, absl::Seconds(40)));
  EXPECT_THAT(here.faults(), IsEmpty());
  EXPECT_THAT(away.faults(), IsEmpty());
  // The one that was here from the start was sent nothing twice.
  size_t messages = 0;
  for (const FakeIngest::Arrival& arrival : here.arrivals()) messages += arrival.reports.size();
  EXPECT_EQ(messages, static_cast<size_t>(added_));
  Stop();
  EXPECT_THAT(SpoolFiles(), ::testing::Each(std::string(kSpoolAcksFile)));
}

TEST_F(UplinkTest, WithoutADirectoryAnOutageIsBridgedFromMemory) {
  FakeIngest collector;
  collector.Die();
  Start({collector.address()}, false);
  for (int i = 0; i < 10; ++i) Add();
  WaitUntilOld();
  collector.Revive();
  ASSERT_TRUE(WaitFor([&] { return AllArrived(collector); }, absl::Seconds(40)));
  EXPECT_THAT(collector.faults(), IsEmpty());
}

TEST_F(UplinkTest, ARefusalIsNotHammered) {
  FakeIngest collector;
  collector.SetRefusal(absl::PermissionDeniedError("the certificate is revoked"));
  Start({collector.address()});
  Add();
  ASSERT_TRUE(WaitFor([&] { return !collector.hellos().empty(); }));
  EXPECT_FALSE(WaitFor([&] { return collector.hellos().size() > 1; }, absl::Seconds(3)));
  EXPECT_EQ(spool_->stats(0).segments, 1u);  // nobody was told anything: one segment goes on
}

TEST_F(UplinkTest, StoppingIsQuickWithoutACollector) {
  Start({"127.0.0.1:1"});
  Add();
  const absl::Time start = absl::Now();
  Stop();
  EXPECT_LT(absl::Now() - start, absl::Seconds(3));
}

}  // namespace
}  // namespace fleet::agent
