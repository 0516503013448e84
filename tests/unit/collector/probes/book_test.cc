#include "collector/probes/book.h"

#include "tests/support/book_fixture.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_F(BookTest, DownConfirmedRecovered) {
  EXPECT_TRUE(Status().pending);
  Run(absl::Minutes(3));
  EXPECT_FALSE(Status().pending);
  EXPECT_FALSE(Status().down);
  engine_.Set(kUrl, "502");
  Run(absl::Seconds(62));
  EXPECT_FALSE(Status().down);
  EXPECT_EQ(Status().error, "");
  Run(absl::Seconds(65));
  EXPECT_TRUE(Status().down);
  EXPECT_EQ(Status().error, "502");
  const absl::Time since = Status().down_since;
  EXPECT_GT(since, clock_.Now() - absl::Seconds(128));
  auto downtimes = *book_->Downtimes("1kae", 0, 10);
  ASSERT_THAT(downtimes, SizeIs(1));
  EXPECT_EQ(downtimes[0].started_at, since);
  EXPECT_FALSE(downtimes[0].ended_at.has_value());
  EXPECT_FALSE(downtimes[0].partial.has_value());
  EXPECT_THAT(downtimes[0].id, SizeIs(24));
  EXPECT_EQ((*book_->FindDowntime(downtimes[0].id))->token, "1kae");

  engine_.Set(kUrl, "");
  Run(absl::Seconds(130));
  EXPECT_FALSE(Status().down);
  downtimes = *book_->Downtimes("", 0, 10);
  ASSERT_THAT(downtimes, SizeIs(1));
  ASSERT_TRUE(downtimes[0].ended_at.has_value());
  EXPECT_EQ(downtimes[0].partial, false);
  EXPECT_EQ(Status().up_since, *downtimes[0].ended_at);
  EXPECT_THAT(Kinds(), ElementsAre("check.down", "check.up"));
  const auto events = *book_->Events(0, 10);
  EXPECT_TRUE(events[0].view.status.down);
  EXPECT_EQ(events[0].view.status.error, "502");
  EXPECT_EQ(events[0].view.check->token, "1kae");
  EXPECT_FALSE(events[0].downtime->ended_at.has_value());
  EXPECT_FALSE(events[1].view.status.down);
  EXPECT_TRUE(events[1].downtime->ended_at.has_value());
  const double seconds = absl::ToDoubleSeconds(*downtimes[0].ended_at - downtimes[0].started_at);
  EXPECT_NEAR(Status().uptime, 100 - 100 * seconds / (30 * 86'400), 0.0006);
}

TEST_F(BookTest, ADowntimeOutlivesTheProcess) {
  Run(absl::Minutes(2));
  engine_.Set(kUrl, "502");
  Run(absl::Minutes(4));
  ASSERT_TRUE(Status().down);
  const absl::Time since = Status().down_since;
  const absl::Time made = book_->Find("1kae")->check->created_at;
  Open();
  EXPECT_TRUE(Status().down);
  EXPECT_EQ(Status().down_since, since);
  EXPECT_EQ(book_->Find("1kae")->check->created_at, made);
  Run(absl::Minutes(2));
  EXPECT_THAT(*book_->Downtimes("1kae", 0, 10), SizeIs(1));
  engine_.Set(kUrl, "");
  Run(absl::Minutes(4));
  EXPECT_FALSE(Status().down);
  EXPECT_THAT(Kinds(), ElementsAre("check.down", "check.up"));
  // Counted on both sides of the restart.
  const auto metrics =
      *book_->Metrics("1kae", clock_.Now() - absl::Hours(2), clock_.Now(), MetricsGroup::kNone);
  EXPECT_GE(metrics.at("").samples, 12);
  EXPECT_GE(metrics.at("").failures, 5);
  EXPECT_LT(metrics.at("").uptime, 100);
}

TEST_F(BookTest, ADowntimeKeepsTheLooksThatConfirmedItAndItsEnd) {
  const auto ups = [](const std::vector<SeenLook>& looks) {
    std::string text;
    for (const SeenLook& look : looks) text += look.up ? '+' : '-';
    return text;
  };
  Run(absl::Minutes(8));
  engine_.Set(kUrl, "502");
  Run(absl::Seconds(70));
  ASSERT_FALSE(Status().down);
  Open();  // what was seen before a restart counts
  Run(absl::Minutes(2));
  ASSERT_TRUE(Status().down);
  Downtime downtime = (*book_->Downtimes("1kae", 0, 1))[0];
  EXPECT_EQ(ups(downtime.down_looks), "++---");
  EXPECT_EQ(downtime.down_looks.back().error, "502");
  EXPECT_EQ(downtime.down_looks.back().vantage, "collector");
  EXPECT_EQ(downtime.down_looks[2].time, downtime.started_at);
  EXPECT_THAT(downtime.up_looks, IsEmpty());
  engine_.Set(kUrl, "");
  Run(absl::Minutes(3));
  ASSERT_FALSE(Status().down);
  Open();
  downtime = (*book_->Downtimes("1kae", 0, 1))[0];
  EXPECT_EQ(ups(downtime.down_looks), "++---");
  EXPECT_EQ(ups(downtime.up_looks), "--+++");
}

TEST_F(BookTest, ChecksOfTheApiComeAndGo) {
  ProbeCheck check;
  check.url = "https://user:secret@example.org/";
  auto made = book_->Create(check);
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string token = made->check->token;
  EXPECT_EQ(made->check->url, "https://example.org/");
  EXPECT_EQ(made->check->spec.http.user, "user");
  EXPECT_THAT(token, SizeIs(4));
  EXPECT_EQ(book_->Create(check).status().code(), absl::StatusCode::kInvalidArgument);
  check.url = "https://other.org";
  check.period = absl::Seconds(45);
  EXPECT_THAT(book_->Create(check).status().message(),
              HasSubstr("Period is not included in the list (given: 45)"));
  Run(absl::Seconds(2));
  EXPECT_FALSE(Status(token).pending);

  ProbeCheck changed = *book_->Find(token)->check;
  changed.alias = "Example";
  changed.period = absl::Seconds(30);
  ASSERT_TRUE(book_->Update(changed).ok());
  changed = *book_->Find("1kae")->check;
  EXPECT_EQ(book_->Update(changed).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(book_->Remove("1kae").code(), absl::StatusCode::kPermissionDenied);
  Open();
  const auto kept = book_->Find(token);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->check->name, "Example");
  EXPECT_EQ(kept->check->period, absl::Seconds(30));
  EXPECT_EQ(kept->check->spec.http.password, "secret");
  ASSERT_THAT(book_->List(), SizeIs(2));
  EXPECT_EQ(book_->List()[0].check->token, "1kae");
  EXPECT_TRUE(book_->Remove(token).ok());
  EXPECT_FALSE(book_->Find(token).has_value());
  EXPECT_EQ(book_->Remove(token).code(), absl::StatusCode::kNotFound);
  Open();
  EXPECT_THAT(book_->List(), SizeIs(1));
}

TEST_F(BookTest, ADisabledCheckIsNotLookedAtNorDown) {
  ProbeCheck check;
  check.url = "https://example.org/";
  const std::string token = book_->Create(check)->check->token;
  engine_.Set("https://example.org/", "500");
  Run(absl::Minutes(3));
  ASSERT_TRUE(Status(token).down);
  check = *book_->Find(token)->check;
  check.enabled = false;
  ASSERT_TRUE(book_->Update(check).ok());
  EXPECT_FALSE(Status(token).down);
  EXPECT_TRUE((*book_->Downtimes(token, 0, 1))[0].ended_at.has_value());
  engine_.TakeStarted();
  Run(absl::Minutes(3));
  EXPECT_THAT(engine_.TakeStarted(), ::testing::Not(::testing::Contains("https://example.org/")));
}

TEST_F(BookTest, WhatIsNoLongerConfiguredIsNoLongerDown) {
  engine_.Set(kUrl, "502");
  Run(absl::Minutes(4));
  ASSERT_TRUE(Status().down);
  const ProbeCheck kept = checks_[0];
  checks_.clear();
  Open();
  auto downtimes = *book_->Downtimes("", 0, 10);
  ASSERT_THAT(downtimes, SizeIs(1));
  EXPECT_TRUE(downtimes[0].ended_at.has_value());
  // Configured again, it starts anew.
  checks_ = {kept};
  Open();
  EXPECT_FALSE(Status().down);
  Run(absl::Minutes(4));
  EXPECT_TRUE(Status().down);
  EXPECT_THAT(*book_->Downtimes("1kae", 0, 10), SizeIs(2));
  // Known to fail from now on.
  checks_[0].notice = "works again";
  Open();
  EXPECT_FALSE(Status().down);
  EXPECT_TRUE(Status().expected_failure);
}

TEST_F(BookTest, NamesTheCauseEvenWhenItIsKnownLater) {
  checks_[0].parent = "tempo";
  Open();
  engine_.Set(kUrl, "Connection timeout (10 seconds)");
  Run(absl::Minutes(3));
  ASSERT_TRUE(Status().down);
  EXPECT_EQ(Status().caused_by, "");
  causes_["tempo"] = "tempo";
  Run(absl::Seconds(2));
  EXPECT_EQ(Status().caused_by, "tempo");
  EXPECT_EQ((*book_->Downtimes("1kae", 0, 1))[0].caused_by, "tempo");
}

TEST_F(BookTest, WhatIsKnownToFailIsNoDowntimeAndItsEndIsNews) {
  checks_[0].notice = "it works again";
  Open();
  engine_.Set(kUrl, "404");
  Run(absl::Minutes(5));
  EXPECT_FALSE(Status().down);
  EXPECT_TRUE(Status().expected_failure);
  EXPECT_THAT(*book_->Downtimes("1kae", 0, 1), IsEmpty());
  EXPECT_THAT(Kinds(), IsEmpty());
  engine_.Set(kUrl, "");
  Run(absl::Minutes(5));
  EXPECT_THAT(Kinds(), ElementsAre("check.notice"));
  Open();
  Run(absl::Minutes(5));
  EXPECT_THAT(Kinds(), SizeIs(1));
}

TEST_F(BookTest, NobodyIsToldOfWhatIsMutedUntilItHasRecovered) {
  ProbeCheck check;
  check.url = "https://example.org/";
  check.mute_until = "recovery";
  const std::string token = book_->Create(check)->check->token;
  for (int round = 0; round < 2; ++round) {
    engine_.Set("https://example.org/", "500");
    Run(absl::Minutes(4));
    EXPECT_TRUE(Status(token).down);
    EXPECT_EQ(Status(token).muted, round == 0);
    engine_.Set("https://example.org/", "");
    Run(absl::Minutes(4));
    EXPECT_EQ(book_->Find(token)->check->mute_until, "");
    EXPECT_THAT(Kinds(), SizeIs(round == 0 ? 0 : 2));
  }
  EXPECT_THAT(*book_->Downtimes(token, 0, 9), SizeIs(2));
}

TEST_F(BookTest, APulseIsMissed) {
  const ProbeView made = MakePulse(absl::Seconds(90));
  const std::string token = made.check->token;
  EXPECT_THAT(made.check->pulse_key, SizeIs(8));
  EXPECT_EQ(book_->Pulse(token, "wrong", false, "").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(book_->Pulse("1kae", made.check->pulse_key, false, "").code(),
            absl::StatusCode::kNotFound);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(book_->Pulse(token, made.check->pulse_key, false, "").ok());
    Run(absl::Seconds(80));
    EXPECT_FALSE(Status(token).down);
  }
  Run(absl::Seconds(12));
  EXPECT_TRUE(Status(token).down);
  EXPECT_THAT(Status(token).error, HasSubstr("no pulse within 1m30s"));
  EXPECT_TRUE(book_->Pulse(token, made.check->pulse_key, false, "").ok());
  Run(absl::Seconds(1));
  EXPECT_FALSE(Status(token).down);
  EXPECT_TRUE(book_->Pulse(token, made.check->pulse_key, true, "disk full").ok());
  Run(absl::Seconds(1));
  EXPECT_EQ(Status(token).error, "disk full");
}

TEST_F(BookTest, ARestartDoesNotForgiveAPulseItsSilence) {
  const ProbeView made = MakePulse(absl::Minutes(10));
  const std::string token = made.check->token;
  ASSERT_TRUE(book_->Pulse(token, made.check->pulse_key, false, "").ok());
  // Of a killed process, what it wrote is left: the pulse as soon as it was heard.
  const test::TempDir killed;
  ASSERT_EQ(test::Shell(absl::StrCat("cp ", dir_ / "probes.db", "* ", killed.path())).exit_code, 0);
  const auto store = ProbeStore::Open(killed / "probes.db");
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(absl::FromUnixMicros((*store)->States()->at(token).last_pulse()), clock_.Now());

  Run(absl::Minutes(7));
  book_.reset();
  clock_.Advance(absl::Hours(1));  // in which nobody could call
  Open();
  Run(absl::Minutes(2));
  EXPECT_FALSE(Status(token).down);
  Run(absl::Minutes(1) + absl::Seconds(5));
  EXPECT_TRUE(Status(token).down);
}

TEST_F(BookTest, WhatStandsStillIsWrittenEachMinuteAllTheSame) {
  clock_.Advance(absl::Milliseconds(2300));  // off the grid of the flushes
  Open();
  Run(absl::Minutes(4));
  const test::TempDir killed;
  ASSERT_EQ(test::Shell(absl::StrCat("cp ", dir_ / "probes.db", "* ", killed.path())).exit_code, 0);
  const auto store = ProbeStore::Open(killed / "probes.db");
  ASSERT_TRUE(store.ok());
  const auto states = (*store)->States();
  ASSERT_EQ(states->count("1kae"), 1u);
  EXPECT_GT(absl::FromUnixMicros(states->at("1kae").last_check()),
            clock_.Now() - ProbeBook::kStatesEvery - absl::Minutes(1) - ProbeBook::kFlushEvery);
}

TEST_F(BookTest, VantagesAreAskedForWhatTheySee) {
  checks_[0].vantages = {"all"};
  Open();
  engine_.Set(kUrl, "500");
  for (int i = 0; i < 10; ++i) {
    ProbeLook look{"1kae", "tempo", {}};
    look.result.start = clock_.Now();
    look.result.success = true;
    book_->Observe(look);
    Run(absl::Seconds(30));
  }
  EXPECT_FALSE(Status().down);
  EXPECT_EQ(Status().failing_vantages, 1);
  EXPECT_EQ(Status().vantages, 2);
  const auto by_host =
      *book_->Metrics("1kae", clock_.Now() - absl::Hours(1), clock_.Now(), MetricsGroup::kHost);
  EXPECT_EQ(by_host.at("tempo").failures, 0);
  EXPECT_EQ(by_host.at("collector").failures, by_host.at("collector").samples);
  ProbeLook stranger{"1kae", "tempo", {}};
  stranger.result.start = clock_.Now() - absl::Hours(5);  // from a spool: it counts, where it was
  stranger.result.success = true;
  book_->Observe(stranger);
  book_->Work(true);
  const auto by_time =
      *book_->Metrics("1kae", clock_.Now() - absl::Hours(6), clock_.Now(), MetricsGroup::kTime);
  EXPECT_THAT(by_time, SizeIs(::testing::Ge(2)));
  EXPECT_THAT(book_->Vantages(), SizeIs(2));
}

TEST_F(BookTest, AVantageThatIsForgottenHasNoSamplesAndNoVoice) {
  checks_[0].vantages = {"all"};
  Open();
  Run(absl::Seconds(61));
  ProbeLook look{"1kae", "tempo", {}};
  look.result.start = clock_.Now();
  look.result.error = "refused";
  book_->Observe(look);
  book_->Work(true);
  const auto vantages = [this] {
    std::vector<std::string> names;
    const std::vector<ProbeBook::Sampled> sampled = book_->Samples();
    for (const ProbeBook::Seen& seen : sampled.front().seen) names.push_back(seen.vantage);
    return names;
  };
  EXPECT_THAT(vantages(), UnorderedElementsAre("collector", "tempo"));
  EXPECT_EQ(Status().failing_vantages, 1);
  book_->ForgetVantage("tempo");
  EXPECT_THAT(vantages(), UnorderedElementsAre("collector"));
  EXPECT_EQ(Status().failing_vantages, 0);
  const auto by_host =
      *book_->Metrics("1kae", clock_.Now() - absl::Hours(1), clock_.Now(), MetricsGroup::kHost);
  EXPECT_EQ(by_host.at("tempo").samples, 1);  // its history stays
}

TEST_F(BookTest, BothFamiliesAreLookedAtAndOneMayFail) {
  checks_[0].both_families = true;
  Open();
  // A name without addresses of a family has none that could fail.
  engine_.Set(kUrl, "DNS: no IPv6 address", probe::IpFamily::kIpv6);
  Run(absl::Minutes(4));
  EXPECT_FALSE(Status().down);
  EXPECT_FALSE(Status().blind);
  engine_.Set(kUrl, "", probe::IpFamily::kIpv6);
  Run(absl::Minutes(2));
  engine_.Set(kUrl, "DNS: no IPv6 address", probe::IpFamily::kIpv6);
  Run(absl::Minutes(4));
  EXPECT_TRUE(Status().down);
  engine_.Set(kUrl, "", probe::IpFamily::kIpv6);
  Run(absl::Minutes(4));
  EXPECT_EQ((*book_->Downtimes("1kae", 0, 1))[0].partial, true);
}

TEST_F(BookTest, OneLookAtATime) {
  engine_.Hold(true);
  Run(absl::Minutes(5));
  EXPECT_THAT(engine_.TakeStarted(), SizeIs(1));
  EXPECT_GE(book_->facts().overrun, 4u);
  engine_.Hold(false);
  engine_.Release();
  Run(absl::Minutes(2));
  EXPECT_THAT(engine_.TakeStarted(), SizeIs(2));
  EXPECT_LE(lag_, absl::Seconds(1));
}

TEST_F(BookTest, HistoryIsFoldedAndAddsUp) {
  clock_.Advance(DayOf(clock_.Now()) + absl::Hours(24) - clock_.Now());
  probe::Result result;
  result.timings.response = absl::Milliseconds(300);
  engine_.SetResult(kUrl, result);
  Run(absl::Hours(2));
  book_->Work(true);
  const absl::Time then = clock_.Now();
  const auto before = *book_->Metrics("1kae", then - absl::Hours(3), then, MetricsGroup::kNone);
  const ProbeMetrics& counted = before.at("");
  EXPECT_NEAR(static_cast<double>(counted.samples), 120, 2);
  EXPECT_EQ(counted.Satisfied(0.5), counted.samples);
  EXPECT_EQ(counted.Satisfied(0.25), 0);
  EXPECT_EQ(counted.Tolerated(0.25), counted.samples);
  EXPECT_EQ(counted.Apdex(0.25), 0.5);
  EXPECT_NEAR(counted.response / static_cast<double>(counted.samples), 300, 0.001);
  for (const absl::Duration later : {absl::Hours(24 * 4), absl::Hours(24 * 90)}) {
    clock_.Advance(later);
    book_->Work(true);  // folds
    const auto rows = *book_->Metrics("1kae", then - absl::Hours(24 * 40), then + absl::Hours(1),
                                      MetricsGroup::kTime);
    ASSERT_THAT(rows, SizeIs(1));
    EXPECT_EQ(rows.begin()->second.samples, counted.samples);
    EXPECT_NEAR(rows.begin()->second.response, counted.response, 0.01);
  }
}

TEST_F(BookTest, DaysSayWhatTheyWere) {
  clock_.Advance(DayOf(clock_.Now()) + absl::Hours(24) - clock_.Now());
  Run(absl::Minutes(2));
  engine_.Set(kUrl, "502");
  Run(absl::Hours(1));
  engine_.Set(kUrl, "");
  Run(absl::Minutes(4));
  const auto days = *book_->DailyUptime("1kae", 90);
  ASSERT_THAT(days, SizeIs(90));
  EXPECT_FALSE(days[0].has_value());
  ASSERT_TRUE(days[88].has_value());
  EXPECT_EQ(*days[88], 100);
  EXPECT_NEAR(*days[89], 9.1, 2);
}

TEST_F(BookTest, AnHourThatIsMuchSlowerIsAPerformanceDrop) {
  clock_.Advance(HourOf(clock_.Now()) + absl::Hours(1) - clock_.Now());
  probe::Result fast;
  fast.timings.response = absl::Milliseconds(100);
  engine_.SetResult(kUrl, fast);
  Run(absl::Hours(5));
  probe::Result slow;
  slow.timings.response = absl::Milliseconds(1'500);
  engine_.SetResult(kUrl, slow);
  EXPECT_FALSE(Status().slow);
  Run(absl::Hours(1) + absl::Minutes(2));
  EXPECT_FALSE(Status().slow);  // two answers are too few
  Run(absl::Minutes(5));
  EXPECT_TRUE(Status().slow);
  // An outage is not slowness.
  engine_.SetResult(kUrl, fast);
  Run(absl::Hours(1));
  engine_.Set(kUrl, "502");
  Run(absl::Minutes(30));
  EXPECT_FALSE(Status().slow);
  EXPECT_THAT(Kinds(), ElementsAre("check.performance_drop", "check.down"));
  const ProbeEvent event = (*book_->Events(0, 1))[0];
  EXPECT_NEAR(event.apdex_dropped_percent, 50, 2);
  EXPECT_THAT(event.apdex_by_hour, SizeIs(6));
}

TEST_F(BookTest, ASettingThatIsMissingIsSaid) {
  checks_[0].unset = "settings.media_object is not set";
  Open();
  Run(absl::Minutes(3));
  EXPECT_THAT(engine_.TakeStarted(), IsEmpty());
  EXPECT_TRUE(Status().blind);
  EXPECT_EQ(Status().error, "settings.media_object is not set");
}

}  // namespace
}  // namespace fleet::collector
