#include "agent/spool.h"

#include "absl/strings/match.h"
#include "tests/support/matchers.h"
#include "tests/support/spool_fixture.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeReader;
using ::fleet::test::IsOk;
using ::fleet::test::SpoolFixture;
using ::fleet::test::SpoolReport;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SpoolTest : public ::testing::Test, public SpoolFixture {};

// ---- live -----------------------------------------------------------------------------------

TEST_F(SpoolTest, LiveStartsWithAYoungSegmentAndGoesOn) {
  Start();
  Add("load", 1);
  EXPECT_THAT(spool->OpenLive(0), IsEmpty());
  FakeReader live;
  const auto first = spool->TakeLive(0);
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->segment, (SegmentId{1, 0}));
  EXPECT_FALSE(first->last);
  EXPECT_THAT(live.Take(*first), ElementsAre("load 1"));
  EXPECT_FALSE(spool->TakeLive(0).has_value());
  Add("load", 2);
  Add("disk", 3);
  EXPECT_THAT(live.Take(*spool->TakeLive(0)), ElementsAre("load 2", "disk 3"));
}

TEST_F(SpoolTest, LiveStartsAFreshSegmentAndNamesTheChecksItLacks) {
  Start();
  Add("load", 1);
  Add("disk", 2);
  Pass(Spool::kLiveStartAge + absl::Seconds(1));
  EXPECT_THAT(spool->OpenLive(0), ElementsAre("disk", "load"));
  EXPECT_FALSE(spool->TakeLive(0).has_value());
  Add("load", 3);
  const auto batch = spool->TakeLive(0);
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->segment, (SegmentId{1, 1}));
  EXPECT_EQ(batch->first_index, 0u);
  FakeReader live;
  EXPECT_THAT(live.Take(*batch), ElementsAre("load 3"));
  Settle();
  // The old ones come as backlog, once.
  EXPECT_TRUE(spool->BacklogWaits(0));
  EXPECT_THAT(Drain(0), ElementsAre("load 1", "disk 2"));
  EXPECT_FALSE(spool->BacklogWaits(0));
}

TEST_F(SpoolTest, AReportWakesLiveAtOnceWhenItsVerdictIsNew) {
  Start();
  std::vector<absl::Duration> wakes;
  spool->SetWake(0, [&](absl::Duration delay) { wakes.push_back(delay); });
  spool->OpenLive(0);
  Add("load", 1);
  EXPECT_THAT(wakes, ElementsAre(absl::ZeroDuration()));
  spool->TakeLive(0);
  Add("load", 2);
  Add("load", 3);
  EXPECT_THAT(wakes, ElementsAre(absl::ZeroDuration(), Spool::kLinger));
  Add("load", 4, Verdict::kCrit);
  EXPECT_THAT(wakes, ElementsAre(absl::ZeroDuration(), Spool::kLinger, absl::ZeroDuration()));
  spool->SetWake(0, nullptr);
}

TEST_F(SpoolTest, WithAFlushCalmReportsAskForNoTimer) {
  options.flushed = true;
  Start();
  std::vector<absl::Duration> wakes;
  spool->SetWake(0, [&](absl::Duration delay) { wakes.push_back(delay); });
  spool->OpenLive(0);
  spool->Flush();
  EXPECT_THAT(wakes, IsEmpty());
  Add("load", 1);
  spool->TakeLive(0);
  wakes.clear();
  Add("load", 2);
  Add("load", 3);
  EXPECT_THAT(wakes, IsEmpty());
  spool->Flush();
  EXPECT_THAT(wakes, ElementsAre(absl::ZeroDuration()));
  Add("load", 4, Verdict::kCrit);
  spool->TakeLive(0);
  wakes.clear();
  spool->Flush();
  EXPECT_THAT(wakes, IsEmpty());
  spool->SetWake(0, nullptr);
}

TEST_F(SpoolTest, LosingAStreamClosesItsSegmentAndItsUnackedReportsBecomeBacklog) {
  Start();
  spool->OpenLive(0);
  FakeReader live;
  Add("load", 1);
  live.Take(*spool->TakeLive(0));
  spool->Ack(0, {1, 0}, 1);
  Add("load", 2);
  live.Take(*spool->TakeLive(0));
  EXPECT_FALSE(spool->BacklogWaits(0));
  spool->CloseLive(0);
  Settle();
  EXPECT_TRUE(spool->BacklogWaits(0));
  ASSERT_THAT(spool->ClosedSegments(), SizeIs(1));
  EXPECT_EQ(spool->ClosedSegments()[0].reports, 2u);
  // Whole, from its first record on.
  EXPECT_THAT(Drain(0), ElementsAre("load 1", "load 2"));
  EXPECT_THAT(FileNames(), IsEmpty());
}

TEST_F(SpoolTest, TheEndOfASegmentIsTold) {
  Start();
  spool->OpenLive(0);
  Add("load", 1);
  spool->TakeLive(0);
  Pass(kSegmentAgeMax);
  Add("load", 2);
  const auto end = spool->TakeLive(0);
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->last);
  EXPECT_EQ(end->first_index, 1u);
  EXPECT_EQ(end->records, "");
  const auto next = spool->TakeLive(0);
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->segment, (SegmentId{1, 1}));
  // What the live stream carries is nobody's backlog.
  EXPECT_FALSE(spool->BacklogWaits(0));
  EXPECT_EQ(spool->stats(0).reports, 0u);
}

TEST_F(SpoolTest, AClockThatIsSetEndsTheSegment) {
  Start();
  spool->OpenLive(0);
  Add("load", 1);
  clock.JumpWall(absl::Milliseconds(900));  // as an NTP daemon may slew
  Add("load", 2);
  EXPECT_THAT(spool->ClosedSegments(), IsEmpty());
  clock.JumpWall(absl::Hours(-24));
  Add("load", 3);
  EXPECT_THAT(spool->ClosedSegments(), SizeIs(1));
  Pass(absl::Minutes(5));
  FakeReader live;
  EXPECT_EQ(spool->TakeLive(0)->age, absl::Minutes(5));
  // The age is right whatever the clock said.
  EXPECT_EQ(spool->TakeLive(0)->age, absl::Minutes(5));
}

TEST_F(SpoolTest, ALiveStreamThatLagsSkipsToTheNewest) {
  Start();
  spool->OpenLive(0);
  Add("load", 0);
  FakeReader live;
  live.Take(*spool->TakeLive(0));
  // Nothing of these is taken. Names that change fill a segment fast.
  std::vector<std::string> sent;
  for (int i = 0; spool->ClosedSegments().size() < 3; ++i) {
    Report report = SpoolReport("load", i, clock.Now());
    report.reason = std::string(4000, static_cast<char>('a' + i % 26)) + absl::StrCat(i);
    spool->Add(report);
    Settle();
  }
  std::vector<Spool::Batch> batches;
  while (auto batch = spool->TakeLive(0)) batches.push_back(*std::move(batch));
  EXPECT_EQ(batches.back().segment.number, 3u);
  EXPECT_LE(batches.size(), 3u);
  EXPECT_EQ(batches.front().first_index, 0u);
  EXPECT_TRUE(spool->BacklogWaits(0));
}

// ---- backlog --------------------------------------------------------------------------------

TEST_F(SpoolTest, ARestartKeepsEpochAndNumberAndNeverAppends) {
  Start();
  Add("load", 1);
  Add("load", 2);
  spool.reset();
  ASSERT_THAT(FileNames(), SizeIs(1));
  Start();
  Add("load", 3);
  EXPECT_FALSE(spool->BacklogWaits(0));  // not read yet
  EXPECT_TRUE(spool->pending());
  EXPECT_TRUE(spool->Work());  // looks into the directory
  EXPECT_FALSE(spool->pending());
  ASSERT_THAT(spool->ClosedSegments(), SizeIs(1));
  EXPECT_EQ(spool->ClosedSegments()[0].id, (SegmentId{1, 0}));
  EXPECT_EQ(spool->ClosedSegments()[0].reports, Spool::kReportsUnknown);
  Settle();
  EXPECT_TRUE(spool->BacklogWaits(0));
  ASSERT_THAT(spool->ClosedSegments(), SizeIs(1));
  EXPECT_EQ(spool->ClosedSegments()[0].id, (SegmentId{1, 0}));
  EXPECT_EQ(spool->ClosedSegments()[0].reports, 2u);
  EXPECT_THAT(Drain(0), ElementsAre("load 1", "load 2"));
  Pass(absl::Seconds(1));
  EXPECT_THAT(FileNames(), SizeIs(1));
}

TEST_F(SpoolTest, WhatACollectorHasOfASegmentNotReadYetCounts) {
  Start();
  Add("load", 1);
  Add("load", 2);
  spool.reset();
  Start();
  ASSERT_TRUE(spool->Work());
  spool->Ack(0, {1, 0}, 2);
  Settle();
  EXPECT_THAT(spool->ClosedSegments(), IsEmpty());
  EXPECT_THAT(FileNames(), IsEmpty());
}

TEST_F(SpoolTest, BacklogIsBoundedInFlight) {
  options.collectors = {"a:1", "b:1"};
  Start();
  for (int i = 0; spool->ClosedSegments().size() < 12; ++i) {
    Report report = SpoolReport("load", i, clock.Now());
    report.reason = std::string(4000, static_cast<char>('a' + i % 26)) + absl::StrCat(i);
    spool->Add(report);
    Settle();
  }
  spool->OpenBacklog(0);
  uint64_t most = 0;
  uint64_t in_flight = 0;
  std::deque<std::pair<SegmentId, std::pair<uint64_t, uint64_t>>> unacked;
  FakeReader reader;
  uint64_t total = 0;
  while (true) {
    Settle();
    while (auto batch = spool->TakeBacklog(0)) {
      EXPECT_LE(batch->records.size(), Spool::kChunkBytes);
      total += reader.Take(*batch).size();
      in_flight += batch->records.size();
      unacked.push_back({batch->segment, {reader.next_index(), batch->records.size()}});
      Settle();
    }
    most = std::max(most, in_flight);
    EXPECT_LE(in_flight, Spool::kUnackedBytesMax);
    if (unacked.empty()) break;
    // One ack only: the rest is withheld until nothing more comes.
    const auto [id, end] = unacked.front();
    unacked.pop_front();
    in_flight -= end.second;
    spool->Ack(0, id, end.first);
  }
  EXPECT_GT(most, Spool::kUnackedBytesMax / 2);
  EXPECT_TRUE(spool->BacklogDone(0));
  uint64_t reports = 0;
  for (const Spool::Closed& closed : spool->ClosedSegments()) reports += closed.reports;
  EXPECT_EQ(total, reports);
}

TEST_F(SpoolTest, ASlowCollectorGetsASmallWindow) {
  Start();
  for (int i = 0; spool->ClosedSegments().size() < 4; ++i) {
    Report report = SpoolReport("load", i, clock.Now());
    report.reason = std::string(4000, static_cast<char>('a' + i % 26)) + absl::StrCat(i);
    spool->Add(report);
    Settle();
  }
  spool->OpenBacklog(0);
  uint64_t bytes = 0;
  FakeReader reader;
  for (int round = 0; round < 12; ++round) {
    Settle();
    bytes = 0;
    SegmentId id;
    while (auto batch = spool->TakeBacklog(0)) {
      reader.Take(*batch);
      id = batch->segment;
      bytes += batch->records.size();
      Settle();
    }
    clock.Advance(absl::Seconds(5));
    spool->Ack(0, id, reader.next_index());
  }
  EXPECT_GT(bytes, 0u);
  EXPECT_LE(bytes, 2 * Spool::kWindowMin);
}

TEST_F(SpoolTest, WhatIsRefusedAgainAndAgainIsGivenUpAndCounted) {
  Start();
  Add("load", 1);
  Pass(absl::Seconds(3));
  spool->OpenLive(0);
  for (int i = 1; i <= Spool::kRefusalsMax; ++i) {
    ASSERT_TRUE(spool->BacklogWaits(0));
    spool->OpenBacklog(0);
    Settle();
    ASSERT_TRUE(spool->TakeBacklog(0).has_value());
    EXPECT_EQ(spool->RefuseBacklog(0), i == Spool::kRefusalsMax);
    spool->CloseBacklog(0);
  }
  EXPECT_FALSE(spool->BacklogWaits(0));
  EXPECT_EQ(spool->stats(0).dropped_reports, 1u);
}

// ---- several collectors ---------------------------------------------------------------------

TEST_F(SpoolTest, ASegmentStaysUntilEveryCollectorHasIt) {
  options.collectors = {"a:1", "b:1"};
  Start();
  spool->OpenLive(0);
  Add("load", 1);
  spool->TakeLive(0);
  spool->Ack(0, {1, 0}, 1);
  spool->CloseLive(0);
  Pass(Spool::kAcksInterval);
  EXPECT_FALSE(spool->BacklogWaits(0));
  EXPECT_TRUE(spool->BacklogWaits(1));

  // Known after a restart as well.
  spool.reset();
  Start();
  Settle();
  EXPECT_FALSE(spool->BacklogWaits(0));
  EXPECT_THAT(Drain(1), ElementsAre("load 1"));
  EXPECT_THAT(spool->ClosedSegments(), IsEmpty());
  Pass(Spool::kAcksInterval);
  EXPECT_THAT(FileNames(), ElementsAre("acks"));
}

TEST_F(SpoolTest, ASegmentNotReadYetIsNotTakenForAcked) {
  options.collectors = {"a:1", "b:1"};
  Start();
  Add("load", 1);
  spool.reset();
  Start();
  ASSERT_TRUE(spool->Work());
  spool->OpenLive(0);
  Add("load", 2);
  spool->TakeLive(0);
  spool->Ack(0, {2, 0}, 1);
  spool.reset();  // before the first one is read, and the acks are written
  Start();
  Settle();
  EXPECT_THAT(FileNames(), ::testing::Contains("acks"));
  EXPECT_THAT(Drain(0), ElementsAre("load 1"));
  EXPECT_THAT(Drain(1), ElementsAre("load 1", "load 2"));
}

TEST_F(SpoolTest, ACollectorThatIsNoLongerConfiguredPinsNothing) {
  options.collectors = {"a:1", "b:1"};
  Start();
  spool->OpenLive(0);
  Add("load", 1);
  spool->TakeLive(0);
  spool->Ack(0, {1, 0}, 1);
  spool.reset();
  options.collectors = {"a:1"};
  Start();
  Settle();
  EXPECT_THAT(spool->ClosedSegments(), IsEmpty());
  EXPECT_THAT(FileNames(), ElementsAre("acks"));
}

TEST_F(SpoolTest, ACollectorThatIsNewGetsWhatIsThere) {
  options.collectors = {"a:1"};
  Start();
  Add("load", 1);
  spool.reset();
  options.collectors = {"a:1", "b:1"};
  Start();
  Settle();
  EXPECT_THAT(Drain(1), ElementsAre("load 1"));
  EXPECT_THAT(Drain(0), ElementsAre("load 1"));
  EXPECT_THAT(spool->ClosedSegments(), IsEmpty());
}

// ---- bounds ---------------------------------------------------------------------------------

TEST_F(SpoolTest, DropsTheOldestBeyondItsBytesAndCounts) {
  options.bytes_max = 3 << 20;
  Start();
  uint64_t added = 0;
  for (; added < 2000; ++added) {
    Report report = SpoolReport("load", static_cast<double>(added), clock.Now());
    report.reason = std::string(4000, static_cast<char>('a' + added % 26));
    spool->Add(report);
    Settle();
  }
  const Spool::Stats stats = spool->stats(0);
  EXPECT_GT(stats.dropped_reports, 0u);
  EXPECT_LE(stats.bytes, options.bytes_max + kSegmentBytesMax);
  EXPECT_LE(files.bytes(), options.bytes_max + kSegmentBytesMax);
  const size_t left = Drain(0).size();
  spool->OpenLive(0);
  // What is neither dropped nor closed is in the current segment.
  EXPECT_LE(left + stats.dropped_reports, added);
  EXPECT_GT(left, 0u);
  spool->CloseLive(0);
}

TEST_F(SpoolTest, DropsWhatIsTooOldByTheUptimeWhateverTheClockSays) {
  options.age_max = absl::Hours(24);
  Start();
  Add("load", 1);
  clock.JumpWall(absl::Hours(24 * 365));
  Add("load", 2);
  EXPECT_THAT(spool->ClosedSegments(), SizeIs(1));  // a year, says the clock, and is wrong
  Pass(absl::Hours(25));
  Add("load", 3);
  EXPECT_EQ(spool->stats(0).dropped_reports, 2u);
}

TEST_F(SpoolTest, DropsTheOldestBeyondItsNumberOfSegments) {
  options.segments_max = 20;
  Start();
  for (size_t i = 0; i < options.segments_max + 5; ++i) {
    clock.JumpWall(absl::Hours(i % 2 == 0 ? 1 : -1));
    Add("load", static_cast<double>(i));
    Pass(Spool::kLinger);
  }
  EXPECT_LE(spool->ClosedSegments().size(), options.segments_max);
  EXPECT_EQ(spool->stats(0).dropped_reports, 5u);
}

TEST_F(SpoolTest, WithoutADirectoryAFewMebibytesAreKeptInMemory) {
  options.directory = "";
  Start();
  uint64_t added = 0;
  for (; added < 4000; ++added) {
    Report report = SpoolReport("load", static_cast<double>(added), clock.Now());
    report.reason = std::string(4000, static_cast<char>('a' + added % 26));
    spool->Add(report);
  }
  EXPECT_EQ(files.changes(), 0u);
  EXPECT_GT(spool->stats(0).dropped_reports, 0u);
  EXPECT_LE(spool->stats(0).bytes, Spool::kMemoryBytesMax + Spool::kMemorySegmentBytes);
  Pass(absl::Seconds(3));
  spool->OpenLive(0);  // closes the current one
  const std::vector<std::string> lines = Drain(0);
  EXPECT_EQ(lines.size() + spool->stats(0).dropped_reports, added);
  EXPECT_EQ(lines.back(), absl::StrCat("load ", added - 1));
}

TEST_F(SpoolTest, AHealthyLinkNeedsOneWritePerTickAndNoSync) {
  Start();
  spool->OpenLive(0);
  FakeReader live;
  Settle();
  const uint64_t syncs = files.syncs();
  uint64_t changes = files.changes();
  for (int tick = 0; tick < 100; ++tick) {
    for (const char* check : {"cpu", "disk", "load"}) Add(check, tick);
    clock.Advance(Spool::kLinger);
    const auto batch = spool->TakeLive(0);
    live.Take(*batch);
    Settle();
    spool->Ack(0, batch->segment, live.next_index());
    Pass(absl::Seconds(10) - Spool::kLinger);
    EXPECT_LE(files.changes() - changes, tick == 0 ? 2u : 1u) << tick;
    changes = files.changes();
  }
  EXPECT_EQ(files.syncs(), syncs);
}

TEST_F(SpoolTest, ATickThatBeginsNeedsNoSyncOfTheLastOne) {
  Start();
  spool->OpenLive(0);
  FakeReader live;
  uint64_t syncs = 0;
  for (int tick = 0; tick < 100; ++tick) {
    Add("load", tick);
    clock.Advance(Spool::kLinger);
    const auto batch = spool->TakeLive(0);
    live.Take(*batch);
    Settle();
    spool->Ack(0, batch->segment, live.next_index());
    // The next report is there when the sync of this one would be due, but not yet in the file.
    clock.Advance(Spool::kSyncInterval - absl::Milliseconds(10));
    Add("cpu", tick);
    Pass(absl::Milliseconds(10));
    if (const auto rest = spool->TakeLive(0)) live.Take(*rest);
    spool->Ack(0, batch->segment, live.next_index());
    if (tick == 0) syncs = files.syncs();  // the first report of a check is news, written at once
  }
  EXPECT_EQ(files.syncs(), syncs);
}

TEST_F(SpoolTest, AnOutageSyncsOncePerTick) {
  Start();
  Settle();
  const uint64_t syncs = files.syncs();
  for (int tick = 0; tick < 100; ++tick) {
    for (const char* check : {"cpu", "disk", "load"}) Add(check, tick);
    Pass(Spool::kLinger);
    Pass(absl::Seconds(10) - Spool::kLinger);
  }
  EXPECT_EQ(spool->SyncedReports({1, 0}), 300u);
  EXPECT_LE(files.syncs() - syncs, 101u);  // and one of the directory
}

}  // namespace
}  // namespace fleet::agent
