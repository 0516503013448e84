// What a host's way to a receiver does when journal, clock or process are not as they were.
#include "collector/remote_write/host_feed.h"

#include <gmock/gmock.h>

#include "tests/support/receiver_rig.h"

namespace fleet::collector {
namespace {

using ::fleet::test::kDisk;
using ::fleet::test::kFirst;
using ::fleet::test::kLoad;
using ::fleet::test::kSecond;
using ::fleet::test::Load;
using ::fleet::test::MakeReport;
using ::fleet::test::MakeResponse;
using ::fleet::test::ReceiverRig;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class HostFeedTest : public ::testing::Test {
 protected:
  ReceiverRig rig_;
};

TEST_F(HostFeedTest, AnErrorOfReadingThatPassesLosesNothing) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst,
              MakeReport("load", {{"node_load1", 0}, {R"(node_disk_io_now{device="sda"})", 5}}));
  rig_.source.Close("tempo", kFirst);
  rig_.Round();
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Seconds(10));
  for (int i = 1; i < 4; ++i) rig_.Report("tempo", kSecond, Load(i), 10 * absl::Seconds(i));
  for (const auto& error :
       {absl::ResourceExhaustedError("open: too many open files"),
        absl::UnknownError("read: input/output error"), absl::UnavailableError("try again")}) {
    rig_.source.FailReads("tempo", error);
    rig_.Restart();  // what is before the next segment is to be read too
    for (int i = 0; i < 5; ++i) rig_.Advance(absl::Seconds(1));
    EXPECT_EQ(rig_.receiver->stats().lost_reports, 0u) << error;
    EXPECT_EQ(rig_.receiver->stats().pending_segments, 1u) << error;
  }
  rig_.source.FailReads("tempo", absl::OkStatus());
  for (int i = 0; i < 25; ++i) {
    rig_.Advance(absl::Seconds(1));
    if (i == 10) rig_.source.FailReads("tempo", absl::UnknownError("read: input/output error"));
    if (i == 20) rig_.source.FailReads("tempo", absl::OkStatus());
  }
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:0", "10:1", "20:2", "30:3"));
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:5", "10:stale"));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 0u);
  EXPECT_EQ(rig_.receiver->stats().dropped(), 0u);
}

TEST_F(HostFeedTest, ACheckThatIsNoMoreMakesNobodySilent) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(0));  // each ten seconds, and never again
  Report disk = MakeReport("disk", {{R"(node_disk_io_now{device="sda"})", 5}});
  disk.interval = absl::Minutes(1);
  for (int minute = 0; minute < 5; ++minute) {
    rig_.Report("tempo", kFirst, disk);
    for (int i = 0; i < 60; ++i) rig_.Advance(absl::Seconds(1));
  }
  // Until the first check has ended, the host should have been heard; then each minute is enough.
  EXPECT_THAT(rig_.Values(kDisk, rig_.start),
              ElementsAre("0:5", "46:stale", "60:5", "120:5", "180:5", "240:5"));
}

TEST_F(HostFeedTest, APlaceThatTheDiskNeverGivesBackIsGivenUpAndTheRestGoesOn) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(0));
  rig_.Report("tempo", kFirst, Load(1), absl::Seconds(10));
  rig_.source.Close("tempo", kFirst);
  rig_.source.FailReads("tempo", absl::UnknownError("read: input/output error"));
  for (int i = 0; i < 9; ++i) rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 0u) << "it may pass";
  for (int i = 0; i < 2; ++i) rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 2u);
  // Too few descriptors, however long, are no fault of the segment's.
  rig_.source.Open("tempo", kSecond, rig_.clock.Now());
  rig_.Report("tempo", kSecond, Load(2));
  rig_.source.FailReads("tempo", absl::ResourceExhaustedError("open: too many open files"));
  for (int i = 0; i < 30; ++i) rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 2u);
  rig_.source.FailReads("tempo", absl::OkStatus());
  rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ::testing::Contains(::testing::EndsWith(":2")));
}

TEST_F(HostFeedTest, WhatTheJournalLostAndGotAgainIsNotSentTwice) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  for (int i = 0; i < 10; ++i) {
    rig_.Report("tempo", kFirst, Load(i));
    rig_.Advance(absl::Seconds(1));
  }
  rig_.source.Cut("tempo", kFirst, 7);
  rig_.Restart();
  rig_.Advance(absl::Minutes(1));  // it is read once, to end what is to end
  rig_.source.Mend("tempo", kFirst);
  rig_.Report("tempo", kFirst, Load(10));
  rig_.Report("tempo", kFirst, Load(11), absl::Seconds(1));
  for (int i = 0; i < 3; ++i) rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start),
              ElementsAre("0:0", "1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "7:7", "8:8", "9:9",
                          "15.5:stale", "54.002:stale", "70:10", "71:11"))
      << "each once, and an end of what was there then and of what is there again";
  EXPECT_EQ(rig_.receiver->stats().dropped(), 0u) << "nor is any refused as old";
}

TEST_F(HostFeedTest, AReadThatFailsBetweenTwoReportsIsRepeated) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  for (int i = 0; i < 6; ++i) {
    rig_.Report("tempo", kFirst, Load(i));
    if (i % 2 == 1) rig_.source.FailReads("tempo", absl::UnknownError("input/output error"));
    rig_.Round();
    rig_.source.FailReads("tempo", absl::OkStatus());
    rig_.Advance(absl::Seconds(10));
  }
  EXPECT_THAT(rig_.Values(kLoad, rig_.start),
              ElementsAre("0:0", "10:1", "20:2", "30:3", "40:4", "50:5"));
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 6 * 5u) << "each once";
}

TEST_F(HostFeedTest, WhatTheJournalHoldsNoLongerIsLostAndHoldsNothingUp) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart);
    ReceiverRig rig;
    rig.options.samples_per_request = 15;  // three reports
    rig.Restart();
    rig.source.Open("tempo", kFirst, rig.start);
    for (int i = 0; i < 10; ++i) {
      rig.Report("tempo", kFirst, Load(i));
      rig.clock.Advance(absl::Seconds(1));
    }
    rig.tsdb.after = [&rig] {
      if (!rig.tsdb.series.empty()) rig.tsdb.answer = [] { return MakeResponse(503, "starting"); };
      return std::nullopt;
    };
    rig.Round();
    ASSERT_THAT(rig.Values(kLoad, rig.start), ElementsAre("0:0", "1:1", "2:2"));
    rig.source.Cut("tempo", kFirst, 7);
    rig.source.Close("tempo", kFirst);
    rig.source.Open("tempo", kSecond, rig.clock.Now());
    rig.Report("tempo", kSecond, Load(10));
    rig.tsdb.answer = rig.tsdb.after = nullptr;
    if (restart) rig.Restart();
    for (int i = 0; i < 5; ++i) rig.Advance(absl::Seconds(1));
    EXPECT_THAT(rig.Values(kLoad, rig.start),
                ElementsAre("0:0", "1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "10:10"));
    EXPECT_EQ(rig.receiver->stats().lost_reports, 3u);
    EXPECT_EQ(rig.receiver->stats().pending_segments, 0u);
    rig.Restart();
    rig.Round();
    EXPECT_EQ(rig.receiver->stats().lost_reports, 0u) << "it is counted once";
  }
}

TEST_F(HostFeedTest, WhatTheReceiverHasIsNotLostWithTheJournal) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  for (int i = 0; i < 10; ++i) {
    rig_.Report("tempo", kFirst, Load(i));
    rig_.Advance(absl::Seconds(1));
  }
  rig_.source.Cut("tempo", kFirst, 5);
  rig_.Round();
  rig_.source.Open("tempo", kSecond, rig_.clock.Now());
  rig_.Report("tempo", kSecond, Load(10));
  rig_.Round();
  rig_.source.Remove("tempo", kFirst);
  rig_.Round();
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 0u);
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 11 * 5u);
}

TEST_F(HostFeedTest, AClockSetBackEndsTheWaitForItsFuture) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1), absl::Seconds(30));
  rig_.Round();
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), IsEmpty());
  rig_.clock.JumpWall(-absl::Hours(24));
  const absl::Time back = rig_.clock.Now();
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Seconds(1));
  rig_.Report("tempo", kSecond, Load(2));
  rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kLoad, back), ElementsAre("0:2"));
  EXPECT_EQ(rig_.dropped(DropReason::kFuture), 1u);
}

TEST_F(HostFeedTest, AClockSetBackHidesNoSilence) {
  rig_.clock.JumpWall(-absl::Hours(24));
  const absl::Time back = rig_.clock.Now();
  rig_.source.Open("tempo", kFirst, back);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Advance(absl::Seconds(44));
  EXPECT_THAT(rig_.Values(kLoad, back), ElementsAre("0:1"));
  rig_.Advance(absl::Seconds(2));
  EXPECT_THAT(rig_.Values(kLoad, back), ElementsAre("0:1", "9.5:stale"));
}

// The older of two checks is not silent alone when the whole host is.
TEST_F(HostFeedTest, AllChecksOfASilentHostEndBeforeTheirNextReportsWereDue) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, MakeReport("disk", {{R"(node_disk_io_now{device="sda"})", 1}}));
  rig_.Report("tempo", kFirst, Load(2), absl::Seconds(5));
  for (int i = 0; i < 60; ++i) rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:1", "9.5:stale"));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("5:2", "14.5:stale"));
}

TEST_F(HostFeedTest, AHostThatFellSilentAroundARestartEnds) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, MakeReport("disk", {{R"(node_disk_io_now{device="sda"})", 1}}));
  rig_.source.Close("tempo", kFirst);
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Seconds(5));
  rig_.Report("tempo", kSecond, Load(2), absl::Seconds(5));
  rig_.Advance(absl::Seconds(10));
  rig_.clock.Advance(absl::Minutes(20));
  rig_.Restart();
  // Agents are still connecting, and then the disk does not answer.
  rig_.Advance(absl::Seconds(44));
  rig_.source.FailReads("tempo", absl::UnknownError("read: input/output error"));
  rig_.Advance(absl::Seconds(10));
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 0u);
  rig_.source.FailReads("tempo", absl::OkStatus());
  rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:1", "9.5:stale"));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("5:2", "14.5:stale"));
  // The next process says the same again, and the same is taken.
  rig_.Restart();
  for (int i = 0; i < 60; ++i) rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 10u);
  EXPECT_EQ(rig_.receiver->stats().dropped(), 0u);
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 0u);
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("5:2", "14.5:stale"));
}

TEST_F(HostFeedTest, AHostThatWasLongSilentBeforeARestartIsLeftAlone) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  for (const absl::Duration silence : {absl::Minutes(40), absl::Hours(2)}) {
    rig_.clock.Advance(silence);
    rig_.Restart();
    for (int i = 0; i < 60; ++i) rig_.Advance(absl::Seconds(1));
    EXPECT_EQ(rig_.receiver->stats().samples.sent, 0u);
  }
  rig_.source.Open("tempo", kSecond, rig_.clock.Now());
  rig_.Report("tempo", kSecond, Load(2));
  rig_.Round();
  EXPECT_EQ(rig_.Values(kLoad, rig_.clock.Now()).back(), "0:2");
}

}  // namespace
}  // namespace fleet::collector
