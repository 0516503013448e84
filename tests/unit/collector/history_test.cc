#include "collector/history.h"

#include <gmock/gmock.h>

#include <map>

#include "collector/event_feed.h"
#include "tests/support/fake_clock.h"
#include "tests/support/journal_agent.h"
#include "tests/support/matchers.h"
#include "tests/support/memory_use.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;

constexpr MetricDesc kGauge = {"fleet_example_value", MetricType::kGauge, "A value."};
constexpr MetricDesc kCounter = {"node_example_total", MetricType::kCounter, "Events.", true};

/// Segments in memory: what stands in for the journal here.
class FakeSource final : public SegmentSource {
 public:
  void Add(const std::string& host, const test::TestSegment& segment, absl::Time created,
           absl::Duration offset = {}) {
    StoredSegment stored;
    stored.host = host;
    stored.id = segment.id();
    stored.created = created;
    stored.offset = offset;
    stored.reports = segment.reports();
    segments_[host].push_back({stored, segment.bytes()});
  }
  std::vector<std::string> Hosts() const override {
    std::vector<std::string> hosts;
    for (const auto& [host, list] : segments_) hosts.push_back(host);
    return hosts;
  }
  std::vector<StoredSegment> Segments(absl::string_view host) const override {
    std::vector<StoredSegment> list;
    const auto found = segments_.find(std::string(host));
    if (found == segments_.end()) return list;
    for (const auto& [stored, bytes] : found->second) list.push_back(stored);
    return list;
  }
  absl::StatusOr<std::string> Read(absl::string_view host, const SegmentId& id) const override {
    for (const auto& [stored, bytes] : segments_.at(std::string(host))) {
      if (stored.id == id) return bytes;
    }
    return absl::NotFoundError("gone");
  }
  bool AwaitsOlder(absl::string_view, absl::Time) const override { return false; }
  uint64_t version() const override { return 1; }
  uint64_t WaitForChange(uint64_t, SteadyTime, const std::stop_token&) const override { return 1; }

 private:
  std::map<std::string, std::vector<std::pair<StoredSegment, std::string>>> segments_;
};

class HistoryTest : public ::testing::Test {
 protected:
  Report ReportOf(absl::string_view check, absl::Time start, double value,
                  Verdict verdict = Verdict::kOk) {
    Report report;
    report.check = std::string(check);
    report.start = start;
    report.interval = absl::Seconds(10);
    report.verdict = verdict;
    report.reason = absl::StrCat("value ", value);
    report.samples.Add(kGauge, {{"check", check}}, value);
    report.samples.Add(kCounter, {{"check", check}, {"kind", "a"}}, 10 * value);
    return report;
  }
  static bool All(absl::string_view /*host*/) { return true; }
  absl::Time At(int seconds) const { return start_ + absl::Seconds(seconds); }
  SeriesQuery Query(const char* metric, int since, int until, uint32_t buckets) const {
    SeriesQuery query;
    query.host = "tempo";
    query.metric = metric;
    query.since = At(since);
    query.until = At(until);
    query.buckets = buckets;
    return query;
  }

  const absl::Time start_ = absl::FromUnixSeconds(1'700'000'000);
  FakeSource source_;
};

TEST_F(HistoryTest, ValuesFallIntoBuckets) {
  test::TestSegment segment({7, 0}, start_);
  for (int i = 0; i < 6; ++i) segment.Add(ReportOf("disk", At(10 * i), i));
  source_.Add("tempo", segment, start_);
  const auto reply = QuerySeries(source_, Query("fleet_example_value", 0, 60, 3));
  ASSERT_THAT(reply, IsOk());
  ASSERT_EQ(reply->series_size(), 1);
  const auto& series = reply->series(0);
  EXPECT_EQ(series.labels(), "check=\"disk\"");
  ASSERT_EQ(series.buckets_size(), 3);
  EXPECT_EQ(series.buckets(1).index(), 1u);
  EXPECT_EQ(series.buckets(1).min(), 2);
  EXPECT_EQ(series.buckets(1).max(), 3);
  EXPECT_EQ(series.min(), 0);
  EXPECT_EQ(series.last(), 5);
  EXPECT_EQ(series.interval_seconds(), 10);
  EXPECT_FALSE(reply->rate());
}

TEST_F(HistoryTest, CountersAreRatesAndResetsAreSeen) {
  test::TestSegment segment({7, 0}, start_);
  const int values[] = {5, 7, 1, 3};  // times ten; a restart in the middle
  for (int i = 0; i < 4; ++i) segment.Add(ReportOf("disk", At(10 * i), values[i]));
  segment.Add(ReportOf("disk", At(300), 100));  // after a gap nothing is known of the rate
  source_.Add("tempo", segment, start_);
  const auto reply = QuerySeries(source_, Query("node_example_total", 0, 400, 40));
  ASSERT_THAT(reply, IsOk());
  EXPECT_TRUE(reply->rate());
  std::vector<double> rates;
  for (const auto& bucket : reply->series(0).buckets()) rates.push_back(bucket.last());
  EXPECT_THAT(rates, ElementsAre(2, 1, 2));
}

TEST_F(HistoryTest, LabelsChooseAndVerdictsHaveAHistory) {
  test::TestSegment segment({7, 0}, start_);
  for (int i = 0; i < 3; ++i) {
    segment.Add(ReportOf("disk", At(10 * i), i, i == 1 ? Verdict::kCrit : Verdict::kOk));
    segment.Add(ReportOf("raid", At(10 * i), i));
  }
  source_.Add("tempo", segment, start_);
  SeriesQuery query = Query("fleet_check_status", 0, 30, 3);
  EXPECT_EQ(QuerySeries(source_, query)->series_size(), 2);
  query.matches = {{"check", "disk"}};
  const auto reply = QuerySeries(source_, query);
  ASSERT_EQ(reply->series_size(), 1);
  EXPECT_EQ(reply->series(0).max(), 2);
  query.matches = {{"check", "dis"}};
  EXPECT_THAT(QuerySeries(source_, query), HasCode(absl::StatusCode::kNotFound));
  query.host = "nobody";
  EXPECT_THAT(QuerySeries(source_, query), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(QuerySeries(source_, Query("x", 30, 30, 3)),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(QuerySeries(source_, Query("x", 0, 30, 0)),
              HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(HistoryTest, TimesAreTheCollectors) {
  test::TestSegment segment({7, 0}, start_ - absl::Hours(24));
  segment.Add(ReportOf("disk", At(10) - absl::Hours(24), 4));
  source_.Add("tempo", segment, start_, absl::Hours(24));
  EXPECT_EQ(
      QuerySeries(source_, Query("fleet_example_value", 0, 60, 6))->series(0).buckets(0).index(),
      1u);
}

TEST_F(HistoryTest, TheStateIsThatOfItsMoment) {
  test::TestSegment tempo({7, 0}, start_);
  test::TestSegment parasect({8, 0}, start_);
  for (int i = 0; i <= 60; ++i) {
    tempo.Add(ReportOf("raid", At(10 * i), i, i == 30 ? Verdict::kCrit : Verdict::kOk));
    if (i < 20) parasect.Add(ReportOf("disk", At(10 * i), i));
  }
  source_.Add("tempo", tempo, start_);
  source_.Add("parasect", parasect, start_);
  const auto at = [&](int seconds) { return StatusAt(source_, {}, {}, At(seconds), All); };

  v1::StatusReply reply = at(100);
  ASSERT_EQ(reply.hosts_size(), 2);
  EXPECT_EQ(reply.verdict(), v1::VERDICT_OK);
  EXPECT_EQ(reply.hosts(1).checks(0).reason(), "value 10");

  reply = at(305);
  EXPECT_EQ(reply.verdict(), v1::VERDICT_CRIT);
  EXPECT_EQ(reply.hosts(1).checks(0).verdict(), v1::VERDICT_CRIT);
  EXPECT_NEAR(reply.hosts(1).checks(0).age_seconds(), 5, 0.01);
  EXPECT_FALSE(reply.hosts(0).up());
  EXPECT_EQ(reply.hosts(0).verdict(), v1::VERDICT_UNKNOWN);
  EXPECT_TRUE(reply.hosts(0).checks(0).stale());

  EXPECT_EQ(at(-5).hosts_size(), 0);
}

TEST_F(HistoryTest, AStartKnowsTheHostsOfTheJournalAsOldAsTheyAre) {
  test::TestSegment tempo({7, 0}, start_);
  tempo.Add(ReportOf("raid", At(0), 1, Verdict::kCrit));
  source_.Add("tempo", tempo, start_);
  source_.Add("parasect", tempo, start_);
  source_.Add("retired", tempo, start_);
  test::FakeClock clock(At(3600));
  FleetState state(clock, {});
  ASSERT_THAT(state.Connect("parasect", {"1", absl::Seconds(10)}, "192.0.2.1"), IsOk());
  RestoreState(source_, state, clock.Now(),
               [](absl::string_view host) { return host != "retired"; });
  const v1::StatusReply reply = state.Status({});
  ASSERT_EQ(reply.hosts_size(), 2);
  EXPECT_EQ(reply.hosts(1).name(), "tempo");
  EXPECT_FALSE(reply.hosts(1).up());
  EXPECT_NEAR(reply.hosts(1).age_seconds(), 3600, 0.01);
  EXPECT_TRUE(reply.hosts(1).checks(0).stale());
  EXPECT_TRUE(reply.hosts(0).up());  // its agent was faster
  EXPECT_EQ(state.Snapshot("tempo").hosts[0].series, 0u);
}

TEST_F(HistoryTest, TheStateOfAMomentIsThatOfAStartThen) {
  test::TestSegment tempo({7, 0}, start_);
  tempo.Add(ReportOf("raid", At(0), 1, Verdict::kCrit));
  source_.Add("tempo", tempo, start_);
  source_.Add("retired", tempo, start_);
  // However long a host is silent, it stays until it is retired.
  const auto wanted = [](absl::string_view host) { return host != "retired"; };
  for (const int seconds : {5, 3600, 20 * 86'400}) {
    test::FakeClock clock(At(seconds));
    FleetState state(clock, {});
    RestoreState(source_, state, clock.Now(), wanted);
    const v1::StatusReply started = state.Status({});
    const v1::StatusReply then = StatusAt(source_, {}, {}, At(seconds), wanted);
    ASSERT_EQ(then.hosts_size(), 1) << seconds;
    EXPECT_EQ(then.hosts(0).name(), "tempo");
    EXPECT_EQ(then.hosts(0).up(), seconds == 5);
    EXPECT_EQ(then.verdict(), started.verdict()) << seconds;
    EXPECT_EQ(then.hosts(0).up(), started.hosts(0).up()) << seconds;
    EXPECT_EQ(then.hosts(0).age_seconds(), started.hosts(0).age_seconds()) << seconds;
    EXPECT_EQ(then.hosts(0).checks(0).stale(), started.hosts(0).checks(0).stale()) << seconds;
  }
}

TEST_F(HistoryTest, WhatAVantageSawIsNoneOfTheHosts) {
  test::TestSegment segment({7, 0}, start_);
  segment.Add(ReportOf("raid", At(0), 1));
  segment.Add(ReportOf("probe.1kae", At(1), 2, Verdict::kCrit));
  segment.Add(ReportOf("probe.1kae.ipv4", At(1), 2, Verdict::kCrit));
  source_.Add("tempo", segment, start_);

  const v1::StatusReply then = StatusAt(source_, {}, {}, At(5), All);
  ASSERT_EQ(then.hosts_size(), 1);
  EXPECT_EQ(then.verdict(), v1::VERDICT_OK);
  EXPECT_EQ(then.hosts(0).checks_size(), 1);

  test::FakeClock clock(At(5));
  FleetState state(clock, {});
  RestoreState(source_, state, clock.Now(), All);
  const v1::StatusReply now = state.Status({});
  ASSERT_EQ(now.hosts_size(), 1);
  EXPECT_EQ(now.verdict(), v1::VERDICT_OK);
  ASSERT_EQ(now.hosts(0).checks_size(), 1);
  EXPECT_EQ(now.hosts(0).checks(0).name(), "raid");

  for (const char* metric : {"fleet_check_status", "fleet_example_value"}) {
    const auto reply = QuerySeries(source_, Query(metric, 0, 30, 3));
    ASSERT_THAT(reply, IsOk()) << metric;
    ASSERT_EQ(reply->series_size(), 1) << metric;
    EXPECT_EQ(reply->series(0).labels(), "check=\"raid\"");
  }
}

TEST_F(HistoryTest, AHostHasNoMoreInThePastThanNow) {
  test::TestSegment segment({7, 0}, start_);
  for (int i = 0; i < 9; ++i) {
    // Each check's newest report is large, but what came after it is small: a segment may hold at
    // one time only as much as a host may.
    Report report = ReportOf(absl::StrCat("check", i), At(1), 1);
    report.samples.AddRaw({"x", MetricType::kGauge, std::string(500, 'h')}, "", 1);
    report.items = {{.name = "item", .verdict = Verdict::kWarn, .reason = {}, .parent = {}}};
    segment.Add(report);
    segment.Add(ReportOf(absl::StrCat("check", i), At(0), 1));
  }
  source_.Add("tempo", segment, start_);
  StateOptions options;
  options.limits.checks_per_host = 8;
  options.limits.definition_bytes = 2000;
  options.limits.items.items = 3;
  size_t bytes = 0;
  size_t values = 0;
  const auto checks = ChecksAt(source_, "tempo", At(5), options.limits, nullptr);
  for (const RestoredCheck& check : checks) {
    bytes += check.layout->definition_bytes();
    values += check.block != nullptr ? check.layout->size() : 0;
  }
  EXPECT_EQ(checks.size(), 8u);
  EXPECT_LE(bytes, 2000u);
  EXPECT_EQ(values, 3u * 3);

  test::FakeClock clock(At(5));
  FleetState state(clock, options);
  RestoreState(source_, state, clock.Now(), All);
  const v1::StatusReply now = state.Status({});
  const v1::StatusReply then = StatusAt(source_, options, {}, At(5), All);
  ASSERT_EQ(then.hosts(0).checks_size(), 8);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(then.hosts(0).checks(i).items_size(), i < 3 ? 1 : 0);
    EXPECT_EQ(now.hosts(0).checks(i).items_size(), i < 3 ? 1 : 0);
  }
}

TEST_F(HistoryTest, SeriesThatComeAndGoAreNotAllRemembered) {
  test::TestSegment segment({7, 0}, start_);
  const std::string padding(190, 'x');
  constexpr int kReports = 150;
  for (int i = 0; i < kReports; ++i) {
    Report report = ReportOf("disk", At(i), i);
    for (int n = 0; n < 3000; ++n) {
      if (n == i) continue;
      report.samples.AddRaw({"x", MetricType::kGauge, ""}, absl::StrCat("n=\"", n, padding, "\""),
                            1);
    }
    segment.Add(report);
  }
  source_.Add("tempo", segment, start_);
  const size_t memory = test::MemoryFor([&] {
    const auto reply = QuerySeries(source_, Query("fleet_example_value", 0, kReports, kReports));
    ASSERT_THAT(reply, IsOk());
    EXPECT_EQ(reply->series(0).buckets_size(), kReports);
  });
  EXPECT_LT(memory, 60u << 20) << "as many layouts as reports";
}

// ---- events ---------------------------------------------------------------------------------

class EventFeedTest : public ::testing::Test {
 protected:
  EventFeedTest() : events_(*EventLog::Open("", clock_)) {}

  std::vector<std::string> Lines() {
    EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
    std::vector<std::string> lines;
    const auto events = events_->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 1000);
    for (const Event& event : *events) {
      lines.push_back(absl::StrCat(event.kind, " ", event.host, "/", event.subject, " ", event.from,
                                   ">", event.to));
    }
    return lines;
  }
  static ReportStatus StatusOf(Verdict verdict,
                               std::vector<std::pair<std::string, Verdict>> items) {
    ReportStatus status;
    status.verdict = verdict;
    for (auto& [name, item_verdict] : items) {
      Item item;
      item.name = name;
      item.verdict = item_verdict;
      status.items.push_back(std::move(item));
    }
    return status;
  }

  test::FakeClock clock_;
  std::unique_ptr<EventLog> events_;
};

TEST_F(EventFeedTest, ChangesOfChecksAndItems) {
  EventFeed feed(*events_, clock_);
  const ReportStatus good = StatusOf(Verdict::kOk, {{"md0", Verdict::kOk}, {"md1", Verdict::kOk}});
  const ReportStatus bad = StatusOf(
      Verdict::kCrit, {{"md1", Verdict::kOk}, {"md0", Verdict::kCrit}, {"md2", Verdict::kWarn}});
  feed.StatusChanged("tempo", "raid", nullptr, good, clock_.Now());  // the first word is no change
  feed.StatusChanged("tempo", "raid", &good, bad, clock_.Now());
  feed.StatusChanged("tempo", "raid", &bad, bad, clock_.Now());
  EXPECT_THAT(Lines(), ElementsAre("verdict tempo/raid ok>crit", "verdict tempo/raid/md0 ok>crit",
                                   "verdict tempo/raid/md2 >warn"));
}

TEST_F(EventFeedTest, AHostThatFlapsIsCutShort) {
  EventFeed feed(*events_, clock_);
  const ReportStatus good = StatusOf(Verdict::kOk, {});
  const ReportStatus bad = StatusOf(Verdict::kCrit, {});
  for (int i = 0; i < 300; ++i) {
    feed.StatusChanged("hostile", "x", &good, bad, clock_.Now());
    feed.StatusChanged("hostile", "x", &bad, good, clock_.Now());
  }
  feed.StatusChanged("tempo", "raid", &good, bad, clock_.Now());
  EXPECT_EQ(Lines().size(), EventFeed::kBurst + 1);
  EXPECT_EQ(feed.suppressed(), 600 - EventFeed::kBurst);
}

TEST_F(EventFeedTest, SilenceAndReturnAndNothingInventedByARestart) {
  FleetState state(clock_, {});
  const auto pass = [&](absl::Duration span) {
    for (absl::Duration t; t < span; t += absl::Seconds(1)) clock_.Advance(absl::Seconds(1));
  };
  const auto seen = [&](size_t count) {
    return test::WaitFor([&] {
      clock_.Advance(absl::Milliseconds(200));
      return Lines().size() >= count;
    });
  };
  auto connection = state.Connect("tempo", {"1", absl::Seconds(10)}, "192.0.2.1");
  {
    EventFeed feed(*events_, clock_);
    feed.Watch(state);
    ASSERT_TRUE(seen(1));  // the clock runs, nobody speaks
    EXPECT_THAT(Lines(), ElementsAre("host tempo/ up>silent"));
  }
  // A restart while it is silent tells nothing new, its return does.
  EventFeed feed(*events_, clock_);
  feed.Watch(state);
  pass(2 * EventFeed::kGrace);
  EXPECT_EQ(Lines().size(), 1u);
  state.Disconnect("tempo", *connection);
  connection = state.Connect("tempo", {"1", absl::Seconds(10)}, "192.0.2.1");
  ASSERT_TRUE(seen(2));
  EXPECT_EQ(Lines()[1], "host tempo/ silent>up");
}

}  // namespace
}  // namespace fleet::collector
