#include "collector/web/status_model.h"

#include "tests/support/fake_probes.h"
#include "tests/support/matchers.h"
#include "tests/support/status_models.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FakeProbes;
using ::fleet::test::MakeModel;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixSeconds(1'795'452'600);  // 2026-11-23 16:50 UTC

StatusModel Collect(FakeProbes& probes) {
  return CollectStatus({}, &probes, {}, kNow, absl::Minutes(5));
}

TEST(StatusModelTest, ShowsOnlyWhatIsPublished) {
  FakeProbes probes;
  probes.Add("aaaa", "https://a.example");
  FakeProbes::Definition(probes.Add("bbbb", "https://secret.example")).published = false;
  // What is expected to be down is nobody's component.
  FakeProbes::Definition(probes.Add("cccc", "https://gone.example")).notice = "works again";
  FakeProbes::Definition(probes.Add("dddd", "https://d.example")).component = "Media";
  probes.downtimes = {
      {"d2", "bbbb", "x", kNow - absl::Hours(2), kNow - absl::Hours(1), {}, ""},
      {"d1", "aaaa", "y", kNow - absl::Hours(3), kNow - absl::Hours(2), true, ""},
      {"d0", "aaaa", "z", kNow - absl::Hours(24 * 99), kNow - absl::Hours(24 * 98), false, ""}};
  const StatusModel model = Collect(probes);
  ASSERT_THAT(model.components, SizeIs(2));
  EXPECT_EQ(model.components[0].name, "https://a.example");
  EXPECT_EQ(model.components[1].name, "Media");
  ASSERT_THAT(model.past, SizeIs(1)) << "of a published one, in the last 90 days";
  EXPECT_EQ(model.past[0].downtime.id, "d1");
  EXPECT_EQ(OverallOf(model).text, "All systems operational");
  EXPECT_THAT(model.problem, IsEmpty());
}

TEST(StatusModelTest, MakesTheSeriesOfADay) {
  FakeProbes probes;
  probes.Add("aaaa", "https://a.example");
  ProbeMetrics hour;
  hour.samples = 60;
  hour.failures = 20;
  hour.under = {0, 40, 40, 40, 40, 40, 40, 40, 40};
  hour.response = 40 * 200;
  probes.metrics[MetricsGroup::kTime] = {{"2026-11-23T16:00:00Z", hour},
                                         {"2026-11-22T17:00:00Z", hour}};
  probes.daily = {{0, 98.5}, {1, std::nullopt}};
  const StatusModel model = Collect(probes);
  EXPECT_EQ(absl::ToUnixSeconds(probes.asked_from) % 3600, 0);
  const Component& component = model.components[0];
  ASSERT_THAT(component.response_millis, SizeIs(StatusModel::kHours));
  EXPECT_EQ(component.response_millis.front(), 200);
  EXPECT_EQ(component.response_millis[1], std::nullopt);
  EXPECT_EQ(component.response_millis.back(), 200);
  EXPECT_NEAR(*component.apdex, 0.667, 0.001);
  ASSERT_THAT(component.daily, SizeIs(StatusModel::kDays));
  EXPECT_EQ(component.daily.back(), 98.5);
  EXPECT_NEAR(*UptimeOf(component), 100 - 1.5 / 89, 1e-9);
}

TEST(StatusModelTest, FailuresAreNotSlowness) {
  FakeProbes probes;
  probes.Add("aaaa", "https://a.example").status.slow = true;
  EXPECT_EQ(Collect(probes).components[0].state, ComponentState::kDegraded);
  ProbeMetrics hour;
  hour.samples = 60;
  hour.failures = 30;
  hour.under = {30, 30, 30, 30, 30, 30, 30, 30, 30};
  probes.metrics[MetricsGroup::kTime] = {{"2026-11-23T16:00:00Z", hour}};
  EXPECT_EQ(Collect(probes).components[0].state, ComponentState::kOperational);
  hour.under = {0, 0, 0, 30, 30, 30, 30, 30, 30};
  probes.metrics[MetricsGroup::kTime] = {{"2026-11-23T16:00:00Z", hour}};
  EXPECT_EQ(Collect(probes).components[0].state, ComponentState::kDegraded);
}

TEST(StatusModelTest, AProbeHasOneState) {
  ProbeView view;
  const auto check = std::make_shared<ProbeCheck>();
  view.check = check;
  const auto state = [&] { return ToComponent(view, kNow).state; };
  EXPECT_EQ(state(), ComponentState::kUnknown) << "nobody has looked";
  view.status.pending = false;
  EXPECT_EQ(state(), ComponentState::kOperational);
  view.status.slow = true;
  EXPECT_EQ(state(), ComponentState::kDegraded);
  view.status.blind = true;
  EXPECT_EQ(state(), ComponentState::kUnknown);
  view.status.blind = false;
  view.status.failing_vantages = 1;
  EXPECT_EQ(state(), ComponentState::kDegraded) << "one vantage is no verdict";
  view.status.down = true;
  EXPECT_EQ(state(), ComponentState::kDown);
  view.status.vantages = 2;
  EXPECT_EQ(state(), ComponentState::kPartial);
  check->mute_until = "recovery";
  EXPECT_EQ(state(), ComponentState::kPartial) << "that only keeps alarms quiet";
  check->mute_until = "2026-11-23T17:00:00Z";
  EXPECT_EQ(state(), ComponentState::kMaintenance);
  check->mute_until = "2026-11-23T16:00:00Z";
  EXPECT_EQ(state(), ComponentState::kPartial);
  check->enabled = false;
  EXPECT_EQ(state(), ComponentState::kUnknown);
}

TEST(StatusModelTest, TheWholeIsAsBadAsWhatPeopleMiss) {
  const auto overall = [](std::vector<ComponentState> states) {
    StatusModel model = MakeModel(kNow);
    model.components.resize(states.size());
    for (size_t i = 0; i < states.size(); ++i) model.components[i].state = states[i];
    const Overall found = OverallOf(model);
    return absl::StrCat(found.indicator, " ", found.tone, " ", found.text);
  };
  using S = ComponentState;
  EXPECT_EQ(overall({}), "none none Nothing is monitored here yet");
  EXPECT_EQ(overall({S::kOperational}), "none ok All systems operational");
  EXPECT_EQ(overall({S::kOperational, S::kDegraded}), "minor warn Some systems are slow");
  EXPECT_EQ(overall({S::kOperational, S::kUnknown}), "minor none Not everything could be checked");
  EXPECT_EQ(overall({S::kUnknown}), "minor none Nothing could be checked");
  EXPECT_EQ(overall({S::kOperational, S::kMaintenance}), "minor warn Under maintenance");
  EXPECT_EQ(overall({S::kOperational, S::kPartial}), "minor warn Partial outage");
  EXPECT_EQ(overall({S::kOperational, S::kOperational, S::kDown}), "major bad Partial outage");
  EXPECT_EQ(overall({S::kOperational, S::kDown}), "critical bad Major outage");
  EXPECT_EQ(overall({S::kDown}), "critical bad Major outage");
}

TEST(StatusModelTest, WhatIsAnnouncedIsNoGreen) {
  StatusModel model = MakeModel(kNow);
  model.announcements[0].updates.pop_back();
  EXPECT_EQ(OverallOf(model).text, "A problem is being looked into");
  EXPECT_EQ(OverallOf(model).tone, "warn");
}

TEST(StatusModelTest, NeverRoundsUpToAHundred) {
  EXPECT_EQ(PercentText(100), "100 %");
  EXPECT_EQ(PercentText(99.9999), "99.99 %");
  EXPECT_EQ(PercentText(0), "0.00 %");
}

}  // namespace
}  // namespace fleet::collector
