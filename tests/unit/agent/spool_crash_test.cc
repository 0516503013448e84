// The spool on a disk that forgets whatever was not synced, cut at every change.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "agent/spool.h"
#include "tests/support/matchers.h"
#include "tests/support/spool_fixture.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeReader;
using ::fleet::test::SpoolFixture;
using ::fleet::test::SpoolReport;

/// One agent, its disk and one collector that keeps what it acks, as the real one does.
class Crash : public SpoolFixture {
 public:
  explicit Crash(uint64_t seed) : SpoolFixture(seed) {}

  /// Adds the next report; its value is its number.
  void Next() {
    Add("load", static_cast<double>(added));
    places[added++] = spool->Newest();
  }

  /// What is on the disk for certain, of the reports added since the start.
  void NoteSynced() {
    for (const auto& [report, place] : places) {
      if (spool->SyncedReports(place.first) > place.second) synced.insert(report);
    }
  }
  /// What the collector takes: a report is acked only if it is kept.
  void Receive(const Spool::Batch& batch, FakeReader& reader, bool ack) {
    for (const std::string& line : reader.Take(batch)) {
      ASSERT_EQ(line.substr(0, 5), "load ") << line;
      kept[line].insert({batch.segment.epoch, batch.segment.number});
    }
    if (ack) spool->Ack(0, batch.segment, reader.next_index());
  }

  int added = 0;
  std::map<int, std::pair<SegmentId, uint64_t>> places;
  std::set<int> synced;
  std::map<std::string, std::set<std::pair<uint64_t, uint64_t>>> kept;
};

/// A link that comes and goes, three segments, a restart. Every step may be the last.
void RunAgent(Crash& crash, bool acks) {
  crash.Start();
  crash.Settle();
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      crash.Next();
      crash.Pass(Spool::kLinger);
      crash.Pass(Spool::kSyncInterval);
      crash.NoteSynced();
    }
    crash.spool->OpenLive(0);
    FakeReader live;
    for (int i = 0; i < 4; ++i) {
      crash.Next();
      while (auto batch = crash.spool->TakeLive(0)) crash.Receive(*batch, live, acks);
      crash.Pass(Spool::kLinger);
      crash.NoteSynced();
    }
    if (acks && crash.spool->BacklogWaits(0)) {
      FakeReader reader;
      crash.spool->OpenBacklog(0);
      crash.Settle();
      while (auto batch = crash.spool->TakeBacklog(0)) {
        crash.Receive(*batch, reader, true);
        crash.Settle();
      }
      crash.spool->CloseBacklog(0);
    }
    crash.Pass(Spool::kSyncInterval);
    crash.NoteSynced();
    crash.spool->CloseLive(0);
  }
  crash.Pass(Spool::kAcksInterval);
  crash.NoteSynced();
}

/// The machine goes down and comes up again.
void Reboot(Crash& crash) {
  crash.spool.reset();
  crash.files.Crash();
  crash.boot.Reboot();
}

/// Reboots, and the power goes again at the change number `cut` of the start. False: it made fewer.
bool CutStart(Crash& crash, uint64_t cut) {
  Reboot(crash);
  const uint64_t last = crash.files.changes() + cut;
  crash.files.CutAfter(last);
  crash.Start();
  crash.Settle();
  return crash.files.changes() >= last;
}

/// What a fresh start on what is left brings: everything synced and not acked, in order, once.
void CheckRecovery(Crash& crash) {
  const std::set<int> synced = crash.synced;
  Reboot(crash);
  crash.Start();
  crash.Settle();
  const std::vector<std::string> lines = crash.Drain(0);
  EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end(), [](const auto& a, const auto& b) {
    return std::stoi(a.substr(5)) < std::stoi(b.substr(5));
  })) << ::testing::PrintToString(lines);
  const std::set<std::string> found(lines.begin(), lines.end());
  EXPECT_EQ(found.size(), lines.size()) << ::testing::PrintToString(lines);
  for (const int report : synced) {
    const std::string line = absl::StrCat("load ", report);
    EXPECT_TRUE(found.count(line) > 0 || crash.kept.count(line) > 0) << line << " is lost";
  }
  EXPECT_EQ(crash.spool->stats(0).dropped_reports, 0u);
}

/// A second collector, which was never there, is owed all that was synced, whatever the first one
/// has acked.
void CheckOtherCollector(Crash& crash) {
  const std::vector<std::string> lines = crash.Drain(1);
  const std::set<std::string> found(lines.begin(), lines.end());
  EXPECT_EQ(found.size(), lines.size()) << ::testing::PrintToString(lines);
  for (const int report : crash.synced) {
    EXPECT_TRUE(found.contains(absl::StrCat("load ", report))) << report << " is lost to the other";
  }
}

class SpoolCrashTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(SpoolCrashTest, WhatWasSyncedIsThereAfterACutAtAnyChange) {
  Crash whole(GetParam());
  RunAgent(whole, false);
  EXPECT_EQ(whole.synced.size(), static_cast<size_t>(whole.added));  // in the end all is
  const uint64_t changes = whole.files.changes();
  EXPECT_GT(changes, 30u);
  for (uint64_t cut = 0; cut <= changes; ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after ", cut, " of ", changes));
    Crash crash(GetParam() * 1000 + cut);
    crash.files.CutAfter(cut);
    RunAgent(crash, false);
    CheckRecovery(crash);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST_P(SpoolCrashTest, WhatWasAckedIsNotNeededAndTheRestIsThere) {
  Crash whole(GetParam());
  RunAgent(whole, true);
  const uint64_t changes = whole.files.changes();
  for (uint64_t cut = 0; cut <= changes; ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after ", cut, " of ", changes));
    Crash crash(GetParam() * 1000 + cut);
    crash.files.CutAfter(cut);
    RunAgent(crash, true);
    CheckRecovery(crash);
    for (const auto& [line, places] : crash.kept) {
      EXPECT_EQ(places.size(), 1u) << line << " is in two segments";
    }
    if (::testing::Test::HasFailure()) return;
  }
}

TEST_P(SpoolCrashTest, AnotherCollectorMissesNothingThatTheFirstHasAcked) {
  const auto two = [](uint64_t seed) {
    auto crash = std::make_unique<Crash>(seed);
    crash->options.collectors = {"a:1", "b:1"};
    return crash;
  };
  const std::unique_ptr<Crash> whole = two(GetParam());
  RunAgent(*whole, true);
  const uint64_t changes = whole->files.changes();
  for (uint64_t cut = 0; cut <= changes; ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after ", cut, " of ", changes));
    const std::unique_ptr<Crash> crash = two(GetParam() * 1000 + cut);
    crash->files.CutAfter(cut);
    RunAgent(*crash, true);
    CheckRecovery(*crash);
    CheckOtherCollector(*crash);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST_P(SpoolCrashTest, TheStartAfterACrashMayBeCutToo) {
  Crash whole(GetParam());
  RunAgent(whole, false);
  const uint64_t changes = whole.files.changes();
  size_t starts = 0;
  for (uint64_t first = GetParam(); first <= changes; first += 8) {
    bool reached = true;  // by the last start: then there may be a later change to cut at
    for (uint64_t second = 0; reached; ++second, ++starts) {
      SCOPED_TRACE(absl::StrCat("cut after ", first, " of ", changes, ", then after ", second));
      Crash crash(GetParam() * 1000 + first);
      crash.files.CutAfter(first);
      RunAgent(crash, false);
      reached = CutStart(crash, second);
      CheckRecovery(crash);
      if (::testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(starts, changes / 4);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SpoolCrashTest, ::testing::Range<uint64_t>(1, 9));

// ---- a disk that fails and comes back --------------------------------------------------------

class SpoolFailureTest : public ::testing::Test, public SpoolFixture {
 protected:
  /// "load 0" … as many as were added.
  std::vector<std::string> All(int count) const {
    std::vector<std::string> lines;
    for (int i = 0; i < count; ++i) lines.push_back(absl::StrCat("load ", i));
    return lines;
  }
  void Tick(int& value) {
    Add("load", value++);
    Pass(Spool::kLinger);
    Pass(absl::Seconds(10));
  }
};

TEST_F(SpoolFailureTest, AFullDiskLosesNothingThatFitsIntoMemoryAndTheSpoolComesBackByItself) {
  Start();
  int value = 0;
  for (int i = 0; i < 5; ++i) Tick(value);
  files.SetSpace(files.bytes() + 7);  // the next record is torn
  for (int i = 0; i < 50; ++i) Tick(value);
  EXPECT_EQ(spool->stats(0).dropped_reports, 0u);
  // Still to be had while the disk is full.
  spool->OpenLive(0);
  spool->CloseLive(0);
  EXPECT_EQ(Drain(0, false), All(value));
  files.SetSpace(std::nullopt);
  for (int i = 0; i < 5; ++i) Tick(value);
  // All of it is on the disk now: a crash loses nothing.
  spool.reset();
  files.Crash();
  Start();
  Settle();
  EXPECT_EQ(Drain(0), All(value));
  EXPECT_EQ(spool->stats(0).dropped_reports, 0u);
}

TEST_F(SpoolFailureTest, AFullDiskDropsTheOldestBeyondItsMemoryAndCountsThem) {
  Start();
  Settle();
  files.SetSpace(0);
  int added = 0;
  for (; added < 3000; ++added) {
    Report report = SpoolReport("load", added, clock.Now());
    report.reason = std::string(4000, static_cast<char>('a' + added % 26));
    spool->Add(report);
    Pass(Spool::kLinger);
  }
  const uint64_t dropped = spool->stats(0).dropped_reports;
  EXPECT_GT(dropped, 0u);
  EXPECT_LE(spool->stats(0).bytes, Spool::kMemoryBytesMax + Spool::kMemorySegmentBytes);
  files.SetSpace(std::nullopt);
  Pass(Spool::kRetryInterval);
  spool.reset();
  files.Crash();
  Start();
  Settle();
  const std::vector<std::string> lines = Drain(0);
  EXPECT_EQ(lines.size() + dropped, static_cast<size_t>(added));
  EXPECT_EQ(lines.back(), absl::StrCat("load ", added - 1));
}

TEST_F(SpoolFailureTest, DeletionWorksOnAFullDisk) {
  Start();
  int value = 0;
  Tick(value);
  files.SetSpace(files.bytes());
  spool->OpenLive(0);
  EXPECT_EQ(Drain(0), All(value));
  EXPECT_EQ(files.bytes(), 0u);
}

TEST_F(SpoolFailureTest, ASyncThatFailsIsWrittenAnew) {
  Start();
  int value = 0;
  for (int i = 0; i < 3; ++i) Tick(value);
  EXPECT_EQ(spool->SyncedReports({1, 0}), 3u);
  files.FailSyncs(true);
  for (int i = 0; i < 3; ++i) Tick(value);
  files.FailSyncs(false);
  for (int i = 0; i < 3; ++i) Tick(value);
  spool->OpenLive(0);
  spool->CloseLive(0);
  Pass(Spool::kSyncInterval);
  spool.reset();
  files.Crash();
  Start();
  Settle();
  EXPECT_EQ(Drain(0), All(value));
  EXPECT_EQ(spool->stats(0).dropped_reports, 0u);
}

TEST_F(SpoolFailureTest, ADirectoryThatCannotBeMadeIsTriedAgain) {
  files.CutAfter(0);
  Start();
  int value = 0;
  for (int i = 0; i < 3; ++i) Tick(value);
  EXPECT_FALSE(spool->BacklogWaits(0));
  files.CutAfter(~uint64_t{0});
  Tick(value);
  spool->OpenLive(0);
  spool->CloseLive(0);
  EXPECT_EQ(Drain(0), All(value));
}

}  // namespace
}  // namespace fleet::agent
