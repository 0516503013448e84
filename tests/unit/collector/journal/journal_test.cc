#include "collector/journal/journal.h"

#include "tests/support/journal_fixture.h"

namespace fleet::collector {
namespace {

using ::fleet::test::AckRecorder;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::fleet::test::StatusIs;
using ::fleet::test::TestSegment;
using ::fleet::test::ValuesOf;
using ::fleet::test::WaitFor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Outcome = Journal::Outcome;

TEST_F(JournalTest, AnAckComesAfterTheGroupIsOnTheDisk) {
  Open();
  const uint64_t syncs = files_.syncs();
  const TestSegment segment = Segment(7, 0, 3);
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 2)), Outcome::kWaits);
  EXPECT_EQ(Append(segment.Piece("tempo", 2, 3)), Outcome::kWaits);
  clock_.Advance(absl::Milliseconds(199));
  EXPECT_FALSE(journal_->Flush(absl::Milliseconds(30)));
  EXPECT_EQ(files_.syncs(), syncs);
  EXPECT_THAT(acks_->all(), IsEmpty());
  clock_.Advance(absl::Milliseconds(1));
  ASSERT_TRUE(journal_->Flush(absl::Seconds(20)));
  EXPECT_EQ(acks_->safe({7, 0}), 3u);
  EXPECT_EQ(journal_->stats().commits, 1u);
  EXPECT_EQ(files_.syncs() - syncs, 2u);  // the log and its directory
}

TEST_F(JournalTest, ADiskThatAnswersNoMoreIsNoticedAndNothingIsAcked) {
  Open();
  EXPECT_EQ(journal_->stalled(), absl::ZeroDuration());
  files_.HoldSyncs(true);
  const TestSegment segment = Segment(7, 0, 2);
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 1)), Outcome::kWaits);
  // It is only slow at first; the watchdog of the service goes by kJournalStallMax.
  Until(absl::Seconds(1), [&] { return journal_->stalled() > absl::Minutes(2); });
  EXPECT_EQ(Append(segment.Piece("tempo", 1, 2)), Outcome::kWaits) << "takes what it has room for";
  EXPECT_THAT(acks_->all(), IsEmpty());
  files_.HoldSyncs(false);
  Settle();
  EXPECT_EQ(acks_->safe({7, 0}), 2u);
  EXPECT_EQ(journal_->stalled(), absl::ZeroDuration());
}

TEST_F(JournalTest, TheFileIsTheAgentsSegmentByteByByte) {
  Open();
  const TestSegment segment = Segment(7, 0, 5);
  Append(segment.Piece("tempo", 0, 2));
  Settle();
  Append(segment.Piece("tempo", 2, 5));
  Settle();
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(segment.bytes()));
  EXPECT_THAT(journal_->ReadFrom("tempo", {7, 0}, segment.bytes().size() - 3),
              IsOkAnd(segment.bytes().substr(segment.bytes().size() - 3)));
  EXPECT_THAT(journal_->ReadFrom("tempo", {7, 0}, 1'000'000), IsOkAnd(""));
  EXPECT_THAT(journal_->Read("tempo", {7, 1}), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(journal_->Hosts(), ElementsAre("tempo"));
}

TEST_F(JournalTest, RepeatsAreAckedAndKeptOnce) {
  Open();
  const TestSegment segment = Segment(7, 0, 6);
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 4)), Outcome::kWaits);
  // Another stream sends the same before it is durable: its ack waits as well.
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 4, true)), Outcome::kWaits);
  EXPECT_THAT(acks_->all(), IsEmpty());
  Settle();
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 3, true)), Outcome::kSafe);
  EXPECT_EQ(Append(segment.Piece("tempo", 2, 6, true)), Outcome::kWaits);  // overlaps
  Settle();
  EXPECT_EQ(acks_->safe({7, 0}), 6u);
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(segment.bytes()));
  EXPECT_EQ(journal_->stats().repeats, 4u + 3u + 2u);
}

TEST_F(JournalTest, AGapIsRefusedWithItsReason) {
  Open();
  const TestSegment segment = Segment(7, 0, 6);
  Append(segment.Piece("tempo", 0, 2));
  EXPECT_THAT(journal_->Append(segment.Piece("tempo", 3, 4), acks_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("only 2 of it")));
  EXPECT_THAT(journal_->Append(Segment(8, 0, 3).Piece("tempo", 2, 3), acks_),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(JournalTest, KnowsWhatItHasAfterARestart) {
  Open();
  TestSegment first = Segment(7, 0, 4);
  Journal::Records piece = first.Piece("tempo", 0, 4);
  piece.last = true;
  piece.offset = absl::Seconds(-90);
  piece.created = clock_.Now() - absl::Seconds(90);
  Append(piece);
  const TestSegment second = Segment(7, 1, 2);
  Append(second.Piece("tempo", 0, 2));
  Settle();
  Open();
  const std::vector<StoredSegment> segments = journal_->Segments("tempo");
  ASSERT_THAT(segments, SizeIs(2));
  EXPECT_EQ(segments[0].id, (SegmentId{7, 0}));
  EXPECT_EQ(segments[0].created, piece.created);
  EXPECT_EQ(segments[0].offset, absl::Seconds(-90));
  EXPECT_EQ(segments[0].reports, 4u);
  EXPECT_TRUE(segments[0].closed);
  EXPECT_FALSE(segments[1].closed);
  EXPECT_EQ(Append(first.Piece("tempo", 0, 4, true)), Outcome::kSafe);
  EXPECT_EQ(Append(second.Piece("tempo", 0, 2, true)), Outcome::kSafe);
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(first.bytes()));
}

TEST_F(JournalTest, WhatWasNotCommittedIsGoneAfterACrashAndComesAgain) {
  Open();
  const TestSegment segment = Segment(7, 0, 4);
  Append(segment.Piece("tempo", 0, 2));
  Settle();
  Append(segment.Piece("tempo", 2, 4));
  files_.CutAfter(files_.changes());  // between append and ack
  files_.Crash();
  Open();
  EXPECT_EQ(acks_->safe({7, 0}), 2u);
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 4, true)), Outcome::kWaits);
  Settle();
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(segment.bytes()));
}

TEST_F(JournalTest, LogFilesGoOnceTheFilesAreOnTheDisk) {
  Open();
  std::vector<TestSegment> segments;
  for (uint64_t number = 0; number < 3; ++number) {
    segments.push_back(Segment(7, number, 3));
    Journal::Records piece = segments.back().Piece("tempo", 0, 3);
    piece.last = true;
    Append(piece);
    Settle();
    clock_.Advance(JournalLog::kFileAgeMax);  // the next goes to another log file
  }
  Until(absl::Seconds(1), [&] { return journal_->stats().log_files == 1; });
  EXPECT_THAT(files_.List("/data/journal/log"), IsOkAnd(SizeIs(1)));
  // What the log no longer has, the files have, and the catalog knows without reading them.
  journal_.reset();
  files_.Crash();
  Open();
  ASSERT_THAT(journal_->Segments("tempo"), SizeIs(3));
  for (const TestSegment& segment : segments) {
    EXPECT_THAT(journal_->Read("tempo", segment.id()), IsOkAnd(segment.bytes()));
    EXPECT_EQ(Append(segment.Piece("tempo", 0, 3, true)), Outcome::kSafe);
  }
  // The newest is in the log as well, and its file was not synced yet: it may have been torn.
  EXPECT_LE(journal_->stats().damaged_bytes, segments.back().bytes().size());
}

TEST_F(JournalTest, RepeatsAreKnownBeyondRetention) {
  options_.max_age = absl::Hours(24);
  Open();
  const TestSegment segment = Segment(7, 0, 3);
  Append(segment.Piece("tempo", 0, 3));
  Settle();
  clock_.Advance(absl::Hours(26));
  Until(absl::Seconds(1), [&] { return journal_->Hosts().empty(); });
  EXPECT_EQ(journal_->stats().host_files.reports_dropped_age, 3u);
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 3, true)), Outcome::kSafe);
  // Its log file goes as well; then the catalog alone knows.
  Append(Segment(7, 1, 1).Piece("tempo", 0, 1));
  Settle();
  Until(absl::Minutes(1), [&] { return journal_->stats().log_files == 1; });
  journal_.reset();
  files_.Crash();
  Open();
  EXPECT_EQ(Append(segment.Piece("tempo", 0, 3, true)), Outcome::kSafe);
  // Its removal may have been forgotten; then it is removed again.
  Until(absl::Seconds(1), [&] { return !journal_->Read("tempo", {7, 0}).ok(); });
}

TEST_F(JournalTest, WhoKeepsMostPaysForTheBound) {
  options_.max_bytes = 64 << 10;
  Open();
  for (uint64_t number = 0; number < 3; ++number) {
    Append(Segment(1, number, 10).Piece("small", 0, 10));
    Settle();
  }
  for (uint64_t number = 0; number < 200; ++number) {
    Append(Segment(2, number, 60).Piece("hostile", 0, 60));
    clock_.Advance(absl::Seconds(1));
    Settle();
  }
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    const Journal::Stats stats = journal_->stats();
    return stats.file_bytes <= options_.max_bytes;
  }));
  EXPECT_GT(journal_->stats().host_files.reports_dropped_bytes, 0u);
  EXPECT_THAT(journal_->Segments("small"), SizeIs(3));
  EXPECT_EQ(journal_->Segments("hostile").back().id.number, 199u);
}

TEST_F(JournalTest, AFullDiskStopsAcksAndNothingElse) {
  Open();
  const TestSegment segment = Segment(7, 0, 40);
  Append(segment.Piece("tempo", 0, 10));
  Settle();
  files_.SetSpace(files_.bytes() + 20);
  Append(segment.Piece("tempo", 10, 40));
  for (int i = 0; i < 50; ++i) clock_.Advance(absl::Milliseconds(100));
  EXPECT_FALSE(journal_->Flush(absl::Milliseconds(50)));
  EXPECT_EQ(acks_->safe({7, 0}), 10u);
  ASSERT_TRUE(WaitFor([&] { return !journal_->stats().trouble.empty(); }));
  EXPECT_THAT(journal_->stats().trouble, HasSubstr("no space"));
  EXPECT_GT(journal_->stats().write_errors, 0u);
  EXPECT_THAT(journal_->Read("tempo", {7, 0}),
              IsOkAnd(SizeIs(segment.Piece("", 0, 10).data.size())));
  files_.SetSpace(std::nullopt);
  Settle(absl::Milliseconds(500));
  EXPECT_EQ(acks_->safe({7, 0}), 40u);
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return journal_->stats().trouble.empty();
  }));
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(segment.bytes()));
}

TEST_F(JournalTest, SaysHowLongItsThreadHasNotGoneRound) {
  Open();
  Append(Segment(7, 0, 1).Piece("tempo", 0, 1));
  clock_.Advance(absl::Milliseconds(30));
  EXPECT_EQ(journal_->stalled(), absl::Milliseconds(30));
  Settle();
  files_.SetSpace(files_.bytes());  // a disk that refuses is asked again and again
  Append(Segment(7, 1, 1).Piece("tempo", 0, 1));
  clock_.Advance(absl::Seconds(20));
  EXPECT_TRUE(WaitFor([&] { return journal_->stalled() < absl::Seconds(2); }));
}

TEST_F(JournalTest, AFailedSyncIsNeverTrusted) {
  Open();
  const TestSegment segment = Segment(7, 0, 6);
  Append(segment.Piece("tempo", 0, 2));
  Settle();
  files_.FailSyncs(true);
  Append(segment.Piece("tempo", 2, 6));
  for (int i = 0; i < 50; ++i) clock_.Advance(absl::Milliseconds(100));
  EXPECT_FALSE(journal_->Flush(absl::Milliseconds(50)));
  EXPECT_EQ(acks_->safe({7, 0}), 2u);
  files_.FailSyncs(false);
  Settle(absl::Milliseconds(500));
  EXPECT_EQ(acks_->safe({7, 0}), 6u);
  journal_.reset();
  files_.Crash();
  Open();
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(segment.bytes()));
}

TEST_F(JournalTest, WaitsInBoundedMemoryAndSaysWhenThereIsRoom) {
  Open();
  files_.SetSpace(files_.bytes());
  const std::string big(1 << 20, 'x');
  const std::string header = Segment(1, 0, 1).bytes();
  size_t taken = 0;
  for (uint64_t host = 0; host < 200; ++host) {
    Journal::Records records = Segment(1, 0, 1).Piece("", 0, 1);
    const std::string name = absl::StrCat("host", host);
    records.host = name;
    records.data = big;
    const auto outcome = journal_->Append(records, acks_);
    ASSERT_THAT(outcome, IsOk());
    if (outcome->outcome == Outcome::kNoRoom) break;
    ++taken;
  }
  EXPECT_NEAR(static_cast<double>(taken), Journal::kWaitingMax >> 20, 2);
  EXPECT_FALSE(journal_->HasRoom("late", 1 << 20, false));
  EXPECT_FALSE(journal_->HasRoom("late", 1 << 10, true));
  journal_->WhenRoom(acks_, "late", 1 << 20, false);
  EXPECT_EQ(acks_->rooms(), 0);
  files_.SetSpace(std::nullopt);
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return acks_->rooms() == 1;
  }));
  EXPECT_TRUE(journal_->HasRoom("late", 1 << 20, true));
}

TEST_F(JournalTest, OfEndedStreamsNoneWaitsForRoom) {
  Open();
  files_.SetSpace(files_.bytes());
  Append(Segment(1, 0, 1).Piece("tempo", 0, 1));
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return !journal_->stats().trouble.empty();
  }));
  std::vector<std::shared_ptr<AckRecorder>> streams(100);
  for (auto& stream : streams) {
    stream = std::make_shared<AckRecorder>();
    journal_->WhenRoom(stream, "tempo", 1, true);
    if (stream != streams.back()) journal_->WaitNoMore(*stream);
  }
  EXPECT_EQ(streams.front().use_count(), 1) << "it is kept for as long as the disk is full";
  EXPECT_GT(streams.back().use_count(), 1);
  files_.SetSpace(std::nullopt);
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return streams.back()->rooms() == 1;
  }));
  EXPECT_EQ(streams.front()->rooms(), 0);
}

TEST_F(JournalTest, OneHostCannotTakeAllTheRoom) {
  Open();
  files_.SetSpace(files_.bytes());
  const std::string big(1 << 20, 'x');
  uint64_t number = 0;
  for (; number < 100; ++number) {
    TestSegment segment = Segment(1, number, 1);
    Journal::Records records = segment.Piece("hostile", 0, 1);
    records.data = big;
    if (Append(records) == Outcome::kNoRoom) break;
  }
  EXPECT_NEAR(static_cast<double>(number), Journal::kHostWaitingMax >> 20, 1);
  EXPECT_TRUE(journal_->HasRoom("tempo", 4 << 20, false));
  files_.SetSpace(std::nullopt);
}

TEST_F(JournalTest, MillionsOfEpochsAreBounded) {
  Open();
  const TestSegment segment = Segment(1, 0, 1);
  size_t refused = 0;
  for (uint64_t epoch = 1; epoch <= 5'000; ++epoch) {
    Journal::Records records = segment.Piece("hostile", 0, 1);
    records.id = {epoch, uint64_t{1} << 60};
    if (!journal_->Append(records, acks_).ok()) ++refused;
  }
  EXPECT_EQ(refused, 5'000 - HostRegistry::kEpochsMax);
  // A new hello says what still exists; then there is room again.
  journal_->Announce("hostile", 1, {});
  EXPECT_THAT(journal_->Append(Segment(9'999, 0, 1).Piece("hostile", 0, 1), acks_), IsOk());
  EXPECT_THAT(journal_->Append(segment.Piece("tempo", 0, 1), acks_), IsOk());
  Settle();
}

TEST_F(JournalTest, KnowsWhatOfTheSpoolIsStillToCome) {
  Open();
  const TestSegment first = Segment(7, 3, 4);
  const absl::Time created = clock_.Now();
  Append(first.Piece("tempo", 0, 2));
  Settle();
  const std::vector<AnnouncedSegment> spool = {{{7, 3}, 4}, {{7, 4}, 2}};
  const auto safe = journal_->Announce("tempo", 7, spool);
  ASSERT_THAT(safe, SizeIs(1));
  EXPECT_EQ(safe[0].reports, 2u);
  clock_.Advance(absl::Minutes(1));
  const absl::Time live = clock_.Now();
  Append(Segment(7, 5, 1).Piece("tempo", 0, 1));
  EXPECT_TRUE(journal_->AwaitsOlder("tempo", live));
  EXPECT_FALSE(journal_->AwaitsOlder("tempo", created));
  EXPECT_FALSE(journal_->AwaitsOlder("parasect", live));
  Append(first.Piece("tempo", 0, 4, true));
  Settle();
  EXPECT_TRUE(journal_->AwaitsOlder("tempo", live));  // 4 is still to come
  Append(Segment(7, 4, 2).Piece("tempo", 0, 2, true));
  Settle();
  EXPECT_FALSE(journal_->AwaitsOlder("tempo", live));
  // All of them are whole, so nothing more will come of them.
  journal_->Announce("tempo", 7, spool);
  for (const StoredSegment& segment : journal_->Segments("tempo")) {
    EXPECT_EQ(segment.closed, segment.id.number < 5) << segment.id.number;
  }
}

TEST_F(JournalTest, AwaitsNobodyForEver) {
  Open();
  journal_->Announce("tempo", 7, {{{7, 4}, 2}});
  EXPECT_TRUE(journal_->AwaitsOlder("tempo", clock_.Now()));
  clock_.Advance(Journal::kAwaitMax + absl::Seconds(1));
  EXPECT_FALSE(journal_->AwaitsOlder("tempo", clock_.Now()));
}

TEST_F(JournalTest, SyncsKeepThePaceWithAThousandHosts) {
  for (const int hosts : {2, 1'000}) {
    Open();
    std::vector<TestSegment> segments;
    std::vector<std::string> names;
    for (int h = 0; h < hosts; ++h) {
      names.push_back(absl::StrCat("host", h));
      segments.emplace_back(SegmentId{7, 0}, clock_.Now());
    }
    const SteadyTime start = clock_.SteadyNow();
    const uint64_t before = files_.syncs();
    // A fifth of a second at a time: a fiftieth of the hosts reports in each. Every segment ends
    // after three reports, as if an hour had passed.
    for (int step = 0; step < 300; ++step) {
      for (int h = step % 50; h < hosts; h += 50) {
        const auto at = static_cast<size_t>(h);
        TestSegment& segment = segments[at];
        segment.Add(step);
        Journal::Records piece = segment.Piece(names[at], segment.reports() - 1, segment.reports());
        piece.last = segment.reports() == 3;
        Append(piece);
        if (piece.last) segment = TestSegment({7, segment.id().number + 1}, clock_.Now());
      }
      clock_.Advance(absl::Milliseconds(200));
      journal_->Flush(absl::Milliseconds(2));
    }
    const double seconds = absl::ToDoubleSeconds(clock_.SteadyNow() - start);
    const double rate = static_cast<double>(files_.syncs() - before) / seconds;
    EXPECT_LE(rate, 5.1) << hosts << " hosts";
    EXPECT_NEAR(static_cast<double>(journal_->stats().syncs),
                static_cast<double>(files_.syncs() - before), 2);
    Settle();
    journal_.reset();
    files_.Crash();
  }
}

TEST_F(JournalTest, DamagedFilesAreSetAsideAndCounted) {
  Open();
  const TestSegment first = Segment(7, 0, 3);
  const TestSegment second = Segment(7, 1, 3);
  for (const TestSegment* segment : {&first, &second}) {
    Journal::Records piece = segment->Piece("tempo", 0, 3);
    piece.last = true;
    Append(piece);
    Settle();
  }
  clock_.Advance(JournalLog::kFileAgeMax);
  Append(Segment(7, 2, 1).Piece("tempo", 0, 1));  // to another log
  Settle();
  Until(absl::Seconds(1), [&] { return journal_->stats().log_files == 1; });
  journal_.reset();
  const std::string dir = "/data/journal/hosts/tempo";
  const auto names = files_.List(dir);
  ASSERT_THAT(names, IsOkAnd(SizeIs(3)));
  // One file is cut, another is none any longer; the catalog is damaged, so nothing is believed.
  const std::string cut = dir + "/" + (*names)[0].name;
  ASSERT_THAT(files_.Truncate(cut, first.bytes().size() - 3), IsOk());
  const std::string odd = dir + "/" + (*names)[1].name;
  ASSERT_THAT(files_.Truncate(odd, 0), IsOk());
  ASSERT_THAT((*files_.OpenToAppend(odd))->Append(std::string(100, 'x')), IsOk());
  ASSERT_THAT(files_.Truncate("/data/journal/catalog", 9), IsOk());
  Open();
  EXPECT_THAT(journal_->Read("tempo", {7, 0}),
              IsOkAnd(first.bytes().substr(0, first.Piece("", 0, 2).data.size())));
  EXPECT_THAT(journal_->Read("tempo", {7, 1}), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(files_.Read(odd + ".damaged", 0, 5), IsOkAnd("xxxxx"));
  EXPECT_THAT(files_.Read("/data/journal/catalog.damaged", 0, 4), IsOkAnd("fcat"));
  const Journal::Stats stats = journal_->stats();
  EXPECT_EQ(stats.host_files.damaged_files, 1u);
  EXPECT_GT(stats.damaged_bytes, 100u);
}

TEST_F(JournalTest, AFileWhoseSyncFailedIsWrittenAnew) {
  Open();
  const TestSegment segment = Segment(7, 0, 3);
  Journal::Records piece = segment.Piece("tempo", 0, 3);
  piece.last = true;
  Append(piece);
  Settle();
  files_.FailSyncs(true);
  Until(absl::Milliseconds(200), [&] { return !journal_->stats().trouble.empty(); });
  files_.FailSyncs(false);
  clock_.Advance(JournalLog::kFileAgeMax);
  Append(Segment(7, 1, 1).Piece("tempo", 0, 1));
  Settle();
  Until(absl::Seconds(1), [&] { return journal_->stats().log_files == 1; });
  EXPECT_THAT(journal_->stats().trouble, "");
  journal_.reset();
  files_.Crash();
  Open();
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), IsOkAnd(segment.bytes()));
}

TEST_F(JournalTest, ChangesWakeReaders) {
  Open();
  const uint64_t seen = journal_->version();
  std::jthread writer([&] {
    Append(Segment(7, 0, 1).Piece("tempo", 0, 1));
    Settle();
  });
  EXPECT_NE(journal_->WaitForChange(seen, SteadyAfter(clock_.SteadyNow(), absl::Hours(9)),
                                    std::stop_token()),
            seen);
}

}  // namespace
}  // namespace fleet::collector
