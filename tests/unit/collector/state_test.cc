#include "collector/state.h"

#include <thread>

#include "tests/support/state_feeder.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StateTest : public ::testing::Test {
 protected:
  v1::StatusReply Status(absl::string_view host = "") {
    v1::StatusRequest request;
    request.set_host(std::string(host));
    return state_.Status(request);
  }
  void Restart(const StateOptions& options) {
    state_.~FleetState();
    new (&state_) FleetState(clock_, options);
  }

  test::FakeClock clock_;
  FleetState state_{clock_, {}};
  test::StateFeeder feeder_{state_, clock_};
};

TEST_F(StateTest, SaysTheNewestOfEachCheck) {
  ASSERT_THAT(feeder_.Send("tempo", MakeReport("load", {{"node_load1", 0.5}})), IsOk());
  Report disk = MakeReport("disk", {}, Verdict::kWarn, "/data 91.2 % used");
  disk.items = {{"/data", Verdict::kWarn, UnknownKind::kNone, "91.2 % used", ""}};
  ASSERT_THAT(feeder_.Send("tempo", disk), IsOk());
  Report raid = MakeReport("raid");
  raid.absent = true;
  ASSERT_THAT(feeder_.Send("tempo", raid, absl::Seconds(3)), IsOk());
  clock_.Advance(absl::Seconds(5));

  const v1::StatusReply reply = Status();
  EXPECT_EQ(reply.verdict(), v1::VERDICT_WARN);
  ASSERT_EQ(reply.hosts_size(), 1);
  const v1::HostStatus& host = reply.hosts(0);
  EXPECT_EQ(host.name(), "tempo");
  EXPECT_TRUE(host.up());
  EXPECT_EQ(host.age_seconds(), 5);
  EXPECT_EQ(host.clock_skew_seconds(), 3);
  EXPECT_EQ(host.spool_reports(), 3u);
  EXPECT_THAT(host.notes(),
              ElementsAre("2 reports dropped from its spool since its agent started"));
  EXPECT_EQ(host.series(), 1u);
  EXPECT_THAT(host.absent(), ElementsAre("raid"));
  ASSERT_EQ(host.checks_size(), 2);
  EXPECT_EQ(host.checks(0).name(), "disk");
  EXPECT_EQ(host.checks(0).reason(), "/data 91.2 % used");
  EXPECT_EQ(host.checks(0).items(0).name(), "/data");
  EXPECT_EQ(host.checks(1).verdict(), v1::VERDICT_OK);
}

TEST_F(StateTest, ACheckGoesStaleAtThreeIntervalsOr45Seconds) {
  Report slow = MakeReport("slow", {{"a", 1}});
  slow.interval = absl::Seconds(60);
  ASSERT_THAT(feeder_.Send("tempo", slow), IsOk());
  ASSERT_THAT(feeder_.Send("tempo", MakeReport("quick", {{"b", 1}}, Verdict::kOk, "fine")), IsOk());
  for (int i = 0; i < 17; ++i) {
    clock_.Advance(absl::Seconds(10));
    ASSERT_THAT(feeder_.Send("tempo", MakeReport("alive")), IsOk());
    const FleetView view = state_.Snapshot();
    EXPECT_EQ(view.hosts[0].checks[1].stale, i * 10 + 10 > 45) << i;
    EXPECT_FALSE(view.hosts[0].checks[2].stale) << i;
    EXPECT_EQ(view.hosts[0].checks[1].published == nullptr, view.hosts[0].checks[1].stale);
  }
  clock_.Advance(absl::Seconds(11));
  EXPECT_TRUE(state_.Snapshot().hosts[0].checks[2].stale);
  const v1::StatusReply reply = Status();
  EXPECT_EQ(reply.hosts(0).checks(1).verdict(), v1::VERDICT_UNKNOWN);
  EXPECT_TRUE(reply.hosts(0).checks(1).stale());
  EXPECT_EQ(reply.hosts(0).checks(1).reason(), "no report for 3 min; the last said: fine");
}

TEST_F(StateTest, ASilentHostIsDownAndKeepsItsLastSeenTime) {
  Report slow = MakeReport("slow", {{"a", 1}});
  slow.interval = absl::Hours(1);
  ASSERT_THAT(feeder_.Send("tempo", slow), IsOk());
  const absl::Time seen = clock_.Now();
  clock_.Advance(absl::Seconds(45));
  EXPECT_TRUE(state_.Snapshot().hosts[0].up);
  // A wall clock that is set plays no part in it.
  clock_.JumpWall(absl::Hours(24));
  EXPECT_TRUE(state_.Snapshot().hosts[0].up);
  clock_.Advance(absl::Milliseconds(1));
  const FleetView view = state_.Snapshot();
  EXPECT_FALSE(view.hosts[0].up);
  EXPECT_EQ(view.hosts[0].last_seen, seen);
  EXPECT_TRUE(view.hosts[0].checks[0].stale);
  const v1::StatusReply reply = Status();
  EXPECT_EQ(reply.verdict(), v1::VERDICT_UNKNOWN);
  EXPECT_EQ(reply.hosts(0).checks(0).caused_by(), "tempo");
  feeder_.Connect("tempo");
  EXPECT_TRUE(state_.Snapshot().hosts[0].up);
}

TEST_F(StateTest, NamesTheRootCause) {
  StateOptions options;
  options.parents["parasect"].parent = "tempo/tinc/parasect";
  options.parents["tempo"].by_check["web"] = "./redis";
  Restart(options);
  ASSERT_THAT(feeder_.Send("parasect", MakeReport("load")), IsOk());
  clock_.Advance(absl::Seconds(50));
  ASSERT_THAT(feeder_.Send("tempo", MakeReport("redis", {}, Verdict::kCrit, "refused")), IsOk());
  Report sidekiq = MakeReport("sidekiq", {}, Verdict::kUnknown, "cannot look");
  sidekiq.parent = "./redis";
  ASSERT_THAT(feeder_.Send("tempo", sidekiq), IsOk());
  Report tinc = MakeReport("tinc", {}, Verdict::kCrit, "parasect unreachable");
  tinc.items = {{"parasect", Verdict::kCrit, UnknownKind::kNone, "unreachable", ""}};
  ASSERT_THAT(feeder_.Send("tempo", tinc), IsOk());
  Report web = MakeReport("web", {}, Verdict::kCrit, "502");
  web.items = {{"front", Verdict::kCrit, UnknownKind::kNone, "502", ""}};
  ASSERT_THAT(feeder_.Send("tempo", web), IsOk());

  const v1::StatusReply reply = Status();
  EXPECT_EQ(reply.hosts(0).caused_by(), "tempo/tinc/parasect");
  EXPECT_EQ(reply.hosts(0).checks(0).caused_by(), "tempo/tinc/parasect");
  const v1::HostStatus& tempo = reply.hosts(1);
  EXPECT_EQ(tempo.checks(0).caused_by(), "");
  EXPECT_EQ(tempo.checks(1).caused_by(), "tempo/redis");
  EXPECT_EQ(tempo.checks(2).caused_by(), "");
  EXPECT_EQ(tempo.checks(3).caused_by(), "tempo/redis");
  EXPECT_EQ(tempo.checks(3).items(0).caused_by(), "tempo/redis");
  EXPECT_EQ(Status("parasect").hosts(0).caused_by(), "tempo/tinc/parasect");
}

TEST_F(StateTest, LimitsAreCountedAndSaidInWords) {
  StateOptions options;
  options.limits = {.hosts = 2,
                    .series_per_host = 3,
                    .checks_per_host = 2,
                    .label_bytes = 20,
                    .reports_per_second = 1};
  Restart(options);
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x", 1}, {"y", 2}})), IsOk());
  clock_.Advance(absl::Seconds(10));
  ASSERT_THAT(
      feeder_.Send(
          "a",
          MakeReport("two", {{"z", 1}, {"v", 2}, {"w{l=\"" + std::string(30, 'x') + "\"}", 1}})),
      IsOk());
  EXPECT_THAT(feeder_.Send("a", MakeReport("three")),
              HasCode(absl::StatusCode::kResourceExhausted));
  for (int i = 0; i < 20; ++i) feeder_.Send("a", MakeReport("one")).IgnoreError();
  feeder_.Connect("b");
  EXPECT_THAT(state_.Connect("c", {}, ""), HasCode(absl::StatusCode::kResourceExhausted));
  const v1::StatusReply reply = Status();
  EXPECT_EQ(reply.hosts(0).series(), 1u);
  EXPECT_THAT(
      reply.hosts(0).notes(),
      ElementsAre(HasSubstr("2 series not served: limit of 3 per host"),
                  HasSubstr("2 reports dropped from its spool"), HasSubstr("13 reports refused")));
  EXPECT_THAT(reply.notes(), ElementsAre(HasSubstr("limit of 2 hosts")));
}

TEST_F(StateTest, ItemsAndDefinitionsOfAHostAreBounded) {
  StateOptions options;
  options.limits.items = {.items = 3, .bytes = 1'000};
  options.limits.definition_bytes = 1'000;
  Restart(options);
  const auto with_items = [](absl::string_view check, int items, size_t bytes = 1) {
    Report report = MakeReport(check, {}, Verdict::kWarn, "why");
    for (int i = 0; i < items; ++i) {
      report.items.push_back(
          {absl::StrCat(i, std::string(bytes, 'n')), Verdict::kWarn, UnknownKind::kNone, "so", ""});
    }
    return report;
  };
  ASSERT_THAT(feeder_.Send("a", with_items("one", 2)), IsOk());
  ASSERT_THAT(feeder_.Send("a", with_items("two", 2)), IsOk());
  ASSERT_THAT(feeder_.Send("a", with_items("three", 1, 2'000)), IsOk());
  v1::StatusReply reply = Status();
  EXPECT_EQ(reply.hosts(0).checks(0).items_size(), 2);
  EXPECT_EQ(reply.hosts(0).checks(1).items_size(), 0);
  EXPECT_EQ(reply.hosts(0).checks(2).items_size(), 0);
  EXPECT_EQ(reply.hosts(0).checks(2).reason(), "why");
  EXPECT_THAT(reply.hosts(0).notes(),
              Contains(HasSubstr("3 items of checks not shown: limit of 3")));
  // Less of one makes room for the other, and nothing is said again that did not change.
  ASSERT_THAT(feeder_.Send("a", with_items("one", 1)), IsOk());
  ASSERT_THAT(feeder_.Send("a", with_items("two", 1)), IsOk());
  EXPECT_EQ(Status().hosts(0).checks(2).items_size(), 1);
  const uint64_t version = state_.version();
  ASSERT_THAT(feeder_.Send("a", with_items("three", 1, 2'000)), IsOk());
  EXPECT_EQ(state_.version(), version);

  ASSERT_THAT(feeder_.Send("b", MakeReport("one", {{"x", 1}})), IsOk());
  ASSERT_THAT(
      feeder_.Send("b", MakeReport("two", {{"y{l=\"" + std::string(2'000, 'x') + "\"}", 1}})),
      IsOk());
  EXPECT_EQ(Status().hosts(1).series(), 1u);
  EXPECT_THAT(Status().hosts(1).notes(0), HasSubstr("1 series not served"));
}

TEST_F(StateTest, DropsReservedConflictingAndRepeatedSeries) {
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x{l=\"1\"}", 1}})), IsOk());
  Report other = MakeReport(
      "two",
      {{"x{l=\"1\"}", 1}, {"x{l=\"2\"}", 1}, {"fleet_host_up", 1}, {"bad name", 1}, {"y{l=}", 1}});
  ASSERT_THAT(feeder_.Send("a", other), IsOk());
  Report conflict = MakeReport("one");
  conflict.samples.AddRaw({"x", MetricType::kCounter, "Not the same."}, "", 1);
  ASSERT_THAT(feeder_.Send("b", conflict), IsOk());
  const FleetView view = state_.Snapshot();
  EXPECT_EQ(view.hosts[0].series, 2u);
  EXPECT_THAT(view.hosts[0].refused_series, ElementsAre(2, 1, 0, 1, 0));
  EXPECT_THAT(view.hosts[1].refused_series, ElementsAre(0, 0, 1, 0, 0));
  EXPECT_EQ(view.hosts[1].series, 0u);
}

TEST_F(StateTest, AFamilyIsFreeAgainWhenNobodyServesIt) {
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x", 1}})), IsOk());
  ASSERT_TRUE(state_.Forget("a"));
  EXPECT_FALSE(state_.Forget("a"));
  feeder_.Connect("a");
  Report counter = MakeReport("one");
  counter.samples.AddRaw({"x", MetricType::kCounter, "Now it counts."}, "", 1);
  ASSERT_THAT(feeder_.Send("b", counter), IsOk());
  EXPECT_EQ(state_.Snapshot("b").hosts[0].series, 1u);
  EXPECT_THAT(state_.Snapshot("c").hosts, IsEmpty());
}

TEST_F(StateTest, RenamesLabelsThatAreTheCollectors) {
  ASSERT_THAT(
      feeder_.Send("a", MakeReport("one", {{"x{instance=\"i\",host=\"h\",job=\"j\"}", 1},
                                           {"fleet_x{host=\"h\",exported_host=\"e\"}", 1}})),
      IsOk());
  const FleetView view = state_.Snapshot();
  const Layout& layout = *view.hosts[0].checks[0].published->layout;
  EXPECT_EQ(layout.labels(0), R"(exported_instance="i",host="h",exported_job="j")");
  EXPECT_EQ(layout.labels(1), R"(exported_exported_host="h",exported_host="e")");
}

TEST_F(StateTest, HostsWithTheSameSeriesShareThem) {
  for (const char* host : {"a", "b"}) {
    ASSERT_THAT(feeder_.Send(host, MakeReport("one", {{"x{l=\"1\"}", 1}})), IsOk());
  }
  const FleetView view = state_.Snapshot();
  EXPECT_EQ(view.hosts[0].checks[0].published, view.hosts[1].checks[0].published);
}

TEST_F(StateTest, OnlyChangesOfWordsWakeWatchers) {
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x", 1}})), IsOk());
  const uint64_t version = state_.version();
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {{"x", 2}})), IsOk());
  EXPECT_EQ(state_.version(), version);
  std::stop_source stop;
  EXPECT_EQ(state_.WaitForChange(version, clock_.SteadyNow(), stop.get_token()), version);
  std::jthread sender([&] {
    feeder_.Send("a", MakeReport("one", {{"x", 2}}, Verdict::kCrit, "bad")).IgnoreError();
  });
  EXPECT_GT(state_.WaitForChange(version, SteadyAfter(clock_.SteadyNow(), absl::Hours(1)),
                                 stop.get_token()),
            version);
}

TEST_F(StateTest, ManyThreadsMayAskAndTell) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      test::StateFeeder feeder(state_, clock_);
      for (int n = 0; n < 60; ++n) {
        EXPECT_THAT(feeder.Send(absl::StrCat("host", i),
                                MakeReport("one", {{"x", n}, {absl::StrCat("y", n / 20), n}})),
                    IsOk());
      }
    });
  }
  threads.emplace_back([this] {
    for (int n = 0; n < 60; ++n) {
      double sum = 0;
      for (const HostView& host : state_.Snapshot().hosts) {
        for (const CheckView& check : host.checks) sum += check.block[0];
      }
      EXPECT_GE(sum, 0);
      Status();
    }
  });
  threads.clear();
  EXPECT_EQ(Status().hosts_size(), 4);
}

TEST_F(StateTest, TextThatIsNotUtf8StillMakesAMessage) {
  ASSERT_THAT(feeder_.Send("a", MakeReport("one", {}, Verdict::kCrit, "x\xff\ny")), IsOk());
  EXPECT_FALSE(Status().SerializeAsString().empty());
  EXPECT_EQ(Status().hosts(0).checks(0).reason().find('\xff'), std::string::npos);
}

}  // namespace
}  // namespace fleet::collector
