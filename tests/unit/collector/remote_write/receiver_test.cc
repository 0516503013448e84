#include "collector/remote_write/receiver.h"

#include <gmock/gmock.h>

#include <map>

#include "absl/strings/match.h"
#include "common/probe/look_report.h"
#include "tests/support/receiver_rig.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FakeReceiver;
using ::fleet::test::kDisk;
using ::fleet::test::kFirst;
using ::fleet::test::kLoad;
using ::fleet::test::kSecond;
using ::fleet::test::Load;
using ::fleet::test::MakeReport;
using ::fleet::test::MakeResponse;
using ::fleet::test::ReceiverRig;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ReceiverTest : public ::testing::Test {
 protected:
  ReceiverRig rig_;
};

TEST_F(ReceiverTest, SendsEveryReportOnceAtItsOwnTime) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  for (int i = 0; i < 3; ++i) {
    rig_.Report("tempo", kFirst, Load(i));
    rig_.Advance(absl::Seconds(10));
  }
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:0", "10:1", "20:2"));
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 3 * 5u);  // with four fleet_check_*
  EXPECT_EQ(rig_.receiver->stats().lag, absl::ZeroDuration());
  EXPECT_EQ(rig_.receiver->stats().pending_segments, 0u);
  EXPECT_EQ(rig_.tsdb.requests, 5);  // with metadata, and one that asks for the clock
  EXPECT_EQ(rig_.tsdb.metadata["node_load1"].help(), "1m load average.");
  EXPECT_EQ(rig_.tsdb.metadata["node_load1"].type(), v1::prometheus::MetricMetadata::GAUGE);
}

TEST_F(ReceiverTest, LeavesOutWhatVantagesSaw) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  probe::Look look;
  look.token = "1kae";
  look.result.success = true;
  look.result.samples.Add(probe::Metrics()[0], {}, 1);
  const Report seen = probe::ToReport(look, absl::Seconds(30));
  ASSERT_TRUE(probe::IsLook(seen.check));
  rig_.Report("tempo", kFirst, seen);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Advance(absl::Seconds(10));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1"));
  EXPECT_EQ(rig_.tsdb.series.size(), 5u) << "the load and four fleet_check_* of that check";
  EXPECT_EQ(rig_.receiver->stats().pending_segments, 0u) << "nor does it wait";
  // Nor is there anything to end when a new process reads it again.
  rig_.Restart();
  rig_.Advance(absl::Minutes(1));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).back(), "9.5:stale");
  EXPECT_EQ(rig_.tsdb.series.size(), 5u);
}

TEST_F(ReceiverTest, CorrectsTimesByTheSegmentsOffset) {
  rig_.source.Open("tempo", kFirst, rig_.start + absl::Hours(24), -absl::Hours(24));
  rig_.Report("tempo", kFirst, Load(1), absl::Hours(24));
  rig_.Round();
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1"));
}

TEST_F(ReceiverTest, EndsASeriesThatLeavesItsCheck) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst,
              MakeReport("load", {{"node_load1", 1}, {R"(node_disk_io_now{device="sda"})", 2}}));
  rig_.Report("tempo", kFirst, Load(3), absl::Seconds(10));
  rig_.Advance(absl::Seconds(10));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1", "10:3"));
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:2", "10:stale"));
  // It may come back, also within the same request.
  rig_.Report("tempo", kFirst, MakeReport("load", {{R"(node_disk_io_now{device="sda"})", 4}}),
              absl::Seconds(10));
  rig_.Advance(absl::Seconds(10));
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:2", "10:stale", "20:4"));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1", "10:3", "20:stale"));
}

TEST_F(ReceiverTest, EndsAnItemThatIsGone) {
  Report report = Load(1);
  report.items = {{.name = "md0", .verdict = Verdict::kCrit, .reason = {}, .parent = {}}};
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, report);
  rig_.Report("tempo", kFirst, Load(1), absl::Seconds(10));
  rig_.Advance(absl::Seconds(10));
  EXPECT_THAT(
      rig_.Values(
          R"(fleet_item_status{check="load",host="tempo",instance="tempo",item="md0",job="fleet"})",
          rig_.start),
      ElementsAre("0:2", "10:stale"));
}

TEST_F(ReceiverTest, EndsACheckThatFallsSilentWhileItsHostTalks) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  Report stuck = MakeReport("disk", {{R"(node_disk_io_now{device="sda"})", 1}});
  stuck.duration = absl::ZeroDuration();
  rig_.Report("tempo", kFirst, stuck);
  for (int i = 0; i < 8; ++i) {
    rig_.Report("tempo", kFirst, Load(i));
    rig_.Advance(absl::Seconds(10));
  }
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:1", "45:stale"));
  EXPECT_THAT(
      rig_.Values(R"(fleet_check_status{check="disk",host="tempo",instance="tempo",job="fleet"})",
                  rig_.start),
      ElementsAre("0:0", "45:stale"));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).size(), 8u);
}

TEST_F(ReceiverTest, EndsAHoleBetweenSegments) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  Report report = Load(1);
  report.duration = absl::ZeroDuration();
  rig_.Report("tempo", kFirst, report);
  rig_.source.Close("tempo", kFirst);
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Hours(2));
  rig_.Report("tempo", kSecond, Load(2), absl::Hours(2));
  rig_.Advance(absl::Hours(2));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1", "45:stale", "7200:2"));
}

// The host may only be cut off, and its reports come late: nothing of them may be older than the
// marker, or a TSDB that takes nothing out of order would refuse it.
TEST_F(ReceiverTest, EndsASilentHostBeforeItsNextReportsWereDue) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  for (int i = 0; i < 6; ++i) {
    rig_.Report("tempo", kFirst, Load(i));
    rig_.Advance(absl::Seconds(10));
  }
  rig_.Advance(absl::Seconds(30));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).back(), "50:5");
  rig_.Advance(absl::Seconds(10));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).back(), "59.5:stale");
  // The link is back: what was reported meanwhile, then the present.
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Seconds(60));
  for (int i = 6; i < 10; ++i) {
    rig_.Report("tempo", kSecond, Load(i), absl::Seconds(10 * (i - 10)));
  }
  rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start),
              ElementsAre("0:0", "10:1", "20:2", "30:3", "40:4", "50:5", "59.5:stale", "60:6",
                          "70:7", "80:8", "90:9"));
  EXPECT_EQ(rig_.receiver->stats().dropped(), 0u);
}

TEST_F(ReceiverTest, NewerSegmentsWaitForAnnouncedOlderOnes) {
  const absl::Time live = rig_.start + absl::Minutes(5);
  rig_.clock.Advance(absl::Minutes(5));
  rig_.source.SetAwaits("tempo", rig_.start);
  rig_.source.Open("tempo", kSecond, live);
  rig_.Report("tempo", kSecond, Load(2));
  rig_.Advance(absl::Seconds(10));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), IsEmpty());
  EXPECT_EQ(rig_.receiver->stats().lag, absl::Seconds(10));

  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1), -absl::Minutes(5));
  rig_.Round();
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("10:1"));
  rig_.source.SetAwaits("tempo", absl::InfinitePast());
  rig_.source.SetAwaits("tempo", absl::InfiniteFuture());
  rig_.Round();
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).back(), "300:2");
}

TEST_F(ReceiverTest, TheWaitForOlderSegmentsHasAnEnd) {
  rig_.source.SetAwaits("tempo", rig_.start - absl::Hours(1));
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  rig_.Advance(kAwaitOlderMax - absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), IsEmpty());
  rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).front(), "0:1");
}

TEST_F(ReceiverTest, HoldsWhatIsALittleAheadAndRefusesWhatIsFar) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1), absl::Seconds(61));
  rig_.Report("tempo", kFirst, Load(2), absl::Seconds(60));
  rig_.Report("tempo", kFirst, Load(3), absl::Seconds(1));
  rig_.source.Open("parasect", kSecond, rig_.start);
  rig_.Report("parasect", kSecond, Load(4));
  rig_.Round();
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), IsEmpty());
  EXPECT_THAT(rig_.Values(R"(node_load1{instance="parasect",job="fleet"})", rig_.start),
              ElementsAre("0:4"));
  EXPECT_EQ(rig_.dropped(DropReason::kFuture), 1u);
  rig_.Advance(absl::Seconds(59));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), IsEmpty());
  rig_.Advance(absl::Seconds(1));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("1:3", "10.5:stale", "60:2"));
}

TEST_F(ReceiverTest, NothingLeavesThatLiesInTheReceiversFuture) {
  const SteadyTime steady = rig_.clock.SteadyNow();
  const auto true_time = [&] { return rig_.start + (rig_.clock.SteadyNow() - steady); };
  rig_.tsdb.date = true_time;
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  ASSERT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1"));
  // Our clock is set a day ahead, and what comes is dated by it.
  rig_.clock.JumpWall(absl::Hours(24));
  for (int i = 0; i < 10; ++i) {
    rig_.Report("tempo", kFirst, Load(2));
    rig_.Advance(absl::Seconds(10));
  }
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1"));
  EXPECT_THAT(rig_.receiver->stats().failure, HasSubstr("our clock is 24 h ahead"));
  EXPECT_EQ(rig_.dropped(DropReason::kFuture), 0u);
  // A start with that clock sends nothing either.
  rig_.Restart();
  rig_.Round();
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 0u);
  // Right again: what was dated wrong is refused and counted, the rest goes on.
  rig_.clock.JumpWall(-absl::Hours(24));
  rig_.Advance(absl::Seconds(40));
  rig_.Report("tempo", kFirst, Load(3));
  rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).back(), "140:3");
  EXPECT_EQ(rig_.dropped(DropReason::kFuture), 10u);
  for (const auto& [name, samples] : rig_.tsdb.series) {
    EXPECT_LE(samples.back().time_ms, absl::ToUnixMillis(true_time())) << name;
  }
  // A receiver whose clock runs ahead, or that does not say, hinders nothing.
  rig_.tsdb.date = [&] { return true_time() + absl::Hours(24); };
  rig_.Report("tempo", kFirst, Load(4));
  rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).back(), "141:4");
}

TEST_F(ReceiverTest, RepeatsNothingButTheLastRequestAfterARestart) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  rig_.Restart();
  rig_.Round();
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 0u);
  // Taken, and killed before that was known: the connection breaks.
  rig_.tsdb.after = [] { return absl::UnavailableError("the connection broke"); };
  rig_.Report("tempo", kFirst, Load(2), absl::Seconds(10));
  rig_.Advance(absl::Seconds(10));
  rig_.tsdb.after = nullptr;
  rig_.Restart();
  rig_.Round();
  EXPECT_EQ(rig_.receiver->stats().samples.sent, 5u);
  EXPECT_EQ(rig_.receiver->stats().dropped(), 0u);
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1", "10:2"));
}

TEST_F(ReceiverTest, KnowsAfterARestartWhichSeriesWereOpen) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst,
              MakeReport("load", {{"node_load1", 1}, {R"(node_disk_io_now{device="sda"})", 2}}));
  rig_.Round();
  rig_.source.Close("tempo", kFirst);
  rig_.Restart();
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Seconds(10));
  rig_.Report("tempo", kSecond, Load(3), absl::Seconds(10));
  rig_.Advance(absl::Seconds(10));
  EXPECT_THAT(rig_.Values(kDisk, rig_.start), ElementsAre("0:2", "10:stale"));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1", "10:3"));
}

TEST_F(ReceiverTest, ADeadReceiverLosesNothingAndCostsOneRequestAtATime) {
  rig_.tsdb.answer = [] { return absl::UnavailableError("connection refused"); };
  for (int host = 0; host < 50; ++host) {
    const std::string name = absl::StrCat("host", host);
    rig_.source.Open(name, kFirst, rig_.start);
    rig_.Report(name, kFirst, Load(host));
  }
  rig_.Round();
  const int first = rig_.tsdb.requests;
  EXPECT_LE(first, 8);
  for (int i = 0; i < 600; ++i) rig_.Advance(absl::Seconds(1));
  EXPECT_LT(rig_.tsdb.requests - first, 60);
  EXPECT_GT(rig_.tsdb.requests - first, 15);
  EXPECT_EQ(rig_.receiver->stats().failing_since, rig_.start);
  EXPECT_EQ(rig_.receiver->stats().failure, "connection refused");
  EXPECT_GE(rig_.receiver->stats().lag, absl::Minutes(10));
  EXPECT_EQ(rig_.receiver->stats().pending_segments, 50u);

  rig_.tsdb.answer = nullptr;
  for (int i = 0; i < 31; ++i) rig_.Advance(absl::Seconds(1));
  for (int host = 0; host < 50; ++host) {
    EXPECT_EQ(rig_.Values(absl::StrCat("node_load1{instance=\"host", host, "\",job=\"fleet\"}"),
                          rig_.start)
                  .front(),
              absl::StrCat("0:", host));
  }
  EXPECT_EQ(rig_.receiver->stats().dropped(), 0u);
  EXPECT_EQ(rig_.receiver->stats().failing_since, absl::InfiniteFuture());
}

TEST_F(ReceiverTest, ALongBacklogKeepsNobodyWaiting) {
  rig_.options.samples_per_request = 10;  // two reports
  rig_.Restart();
  rig_.source.Open("parasect", kFirst, rig_.start - absl::Minutes(50));
  for (int i = 0; i < 240; ++i) {
    rig_.Report("parasect", kFirst, Load(i), 10 * absl::Seconds(i) - absl::Minutes(50));
  }
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(0));
  rig_.tsdb.after = [this, answered = 0]() mutable {
    rig_.clock.Advance(absl::Seconds(1));
    if (++answered % 10 == 0) rig_.Report("tempo", kFirst, Load(answered));
    return std::nullopt;
  };
  int rounds = 0;
  do {
    rig_.Round();
    EXPECT_LT(rig_.receiver->stats().samples.sent, 20 * ++rounds + 20u);
  } while (rig_.receiver->stats().pending_segments > 0 && rounds < 1000);
  const std::vector<std::string> values = rig_.Values(kLoad, rig_.start);
  EXPECT_GE(values.size(), 12u);
  EXPECT_THAT(values, Each(Not(HasSubstr("stale"))));
  EXPECT_EQ(rig_.Values(R"(node_load1{instance="parasect",job="fleet"})", rig_.start).size(), 241u)
      << "and their end";
}

TEST_F(ReceiverTest, ObeysRetryAfter) {
  rig_.tsdb.answer = [] {
    HttpResponse response = MakeResponse(429, "slow down");
    response.headers = {{"retry-after", "120"}};
    return response;
  };
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  rig_.tsdb.answer = nullptr;
  for (int i = 0; i < 119; ++i) rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.tsdb.requests, 1);
  rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.Values(kLoad, rig_.start).front(), "0:1");
}

TEST_F(ReceiverTest, CountsWhatRetentionTookUnsent) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  rig_.tsdb.answer = [] { return MakeResponse(503, "starting"); };
  rig_.Report("tempo", kFirst, Load(2), absl::Seconds(1));
  rig_.Advance(absl::Seconds(1));  // this one is on its way
  for (int i = 2; i <= 4; ++i) rig_.Report("tempo", kFirst, Load(i), absl::Seconds(i));
  rig_.Advance(absl::Seconds(4));
  rig_.source.Remove("tempo", kFirst);
  rig_.Advance(absl::Seconds(1));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 3u);
  EXPECT_EQ(rig_.receiver->stats().pending_segments, 0u);
  rig_.tsdb.answer = nullptr;
  rig_.Advance(absl::Seconds(30));
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:1", "1:2"));
}

TEST_F(ReceiverTest, CountsADamagedRestAndGoesOn) {
  rig_.source.Open("tempo", kFirst, rig_.start);
  for (int i = 0; i < 3; ++i) rig_.Report("tempo", kFirst, Load(i), absl::Seconds(i));
  const size_t size = rig_.source.Read("tempo", kFirst)->size();
  rig_.source.Damage("tempo", kFirst, size - 1);
  rig_.source.Open("tempo", kSecond, rig_.start + absl::Seconds(5));
  rig_.Report("tempo", kSecond, Load(9), absl::Seconds(5));
  rig_.Advance(absl::Seconds(5));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 1u);
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:0", "1:1", "5:9"));
}

TEST_F(ReceiverTest, SendsTheCollectorsOwnViewOfAHost) {
  FleetState state(rig_.clock, StateOptions{});
  test::StateFeeder feeder(state, rig_.clock);
  rig_.snapshot = [&state] { return state.Snapshot(); };
  rig_.Restart();
  ASSERT_THAT(feeder.Send("tempo", Load(1)), test::IsOk());
  rig_.Round();
  const char up[] = R"(fleet_host_up{host="tempo",instance="tempo",job="fleet"})";
  EXPECT_THAT(rig_.Values(up, rig_.start), ElementsAre("0:1"));
  rig_.Advance(absl::Minutes(2));
  EXPECT_THAT(rig_.Values(up, rig_.start), ElementsAre("0:1", "120:0"));
  state.Forget("tempo");
  rig_.Advance(absl::Seconds(15));
  EXPECT_THAT(rig_.Values(up, rig_.start), ElementsAre("0:1", "120:0", "135:stale"));
}

TEST_F(ReceiverTest, SaysWhoItIs) {
  rig_.options.headers = {{"X-Scope-OrgID", "chitter"}};
  rig_.options.user = "fleet";
  rig_.Restart();
  rig_.source.Open("tempo", kFirst, rig_.start);
  rig_.Report("tempo", kFirst, Load(1));
  rig_.Round();
  const std::map<std::string, std::string> headers(rig_.tsdb.heads[0].headers.begin(),
                                                   rig_.tsdb.heads[0].headers.end());
  EXPECT_EQ(headers.at("Content-Encoding"), "snappy");
  EXPECT_EQ(headers.at("Content-Type"), "application/x-protobuf");
  EXPECT_EQ(headers.at("X-Prometheus-Remote-Write-Version"), "0.1.0");
  EXPECT_EQ(headers.at("X-Scope-OrgID"), "chitter");
  EXPECT_EQ(headers.at("Authorization"), "Basic ZmxlZXQ6");
}

TEST_F(ReceiverTest, BackfillLimitsWhatANewReceiverGets) {
  rig_.source.Open("tempo", kFirst, rig_.start - absl::Hours(2));
  rig_.Report("tempo", kFirst, Load(1), -absl::Hours(2));
  rig_.source.Open("tempo", kSecond, rig_.start - absl::Minutes(30));
  rig_.Report("tempo", kSecond, Load(2));
  rig_.options.backfill = absl::Hours(1);
  rig_.Restart();
  rig_.Round();
  EXPECT_THAT(rig_.Values(kLoad, rig_.start), ElementsAre("0:2"));
  EXPECT_EQ(rig_.receiver->stats().lost_reports, 0u);
}

}  // namespace
}  // namespace fleet::collector
