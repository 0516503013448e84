// Remote-write into the real Prometheus, with and without a window for late samples, and
// VictoriaMetrics.
#include "collector/remote_write/remote_write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collector/remote_write/database_cursors.h"
#include "tests/support/matchers.h"
#include "tests/support/memory_segment_source.h"
#include "tests/support/state_feeder.h"
#include "tests/support/tsdb_server.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::MemorySegmentSource;
using ::fleet::test::TsdbServer;
using ::fleet::test::WaitFor;
using ::testing::Values;

constexpr absl::Duration kStep = absl::Seconds(10);

/// What a check says at `time`: a counter of the seconds since `boot`, and a gauge.
Report MakeCounters(absl::Time time, absl::Time boot) {
  Report report = test::MakeReport("cpu", {{"node_load1", 1}});
  report.start = time;
  report.samples.AddRaw({"node_context_switches_total", MetricType::kCounter, "Switches."}, "",
                        absl::ToDoubleSeconds(time - boot));
  return report;
}

class RemoteWriteTest : public ::testing::TestWithParam<TsdbServer::Kind> {
 protected:
  void SetUp() override {
    if (!TsdbServer::Installed(GetParam())) GTEST_SKIP() << "not installed";
    ASSERT_TRUE(tsdb_.Start()) << tsdb_.log();
  }

  void StartWriting(size_t samples_per_request = 500, const std::string& url_end = "") {
    auto cursors = OpenCursors(dir_ / "remote-write.db");
    ASSERT_THAT(cursors, IsOk());
    cursors_ = *std::move(cursors);
    ReceiverOptions options;
    options.name = "tsdb";
    options.url = tsdb_.write_url() + url_end;
    options.samples_per_request = samples_per_request;
    writer_ = std::make_unique<RemoteWrite>(
        std::vector<ReceiverOptions>{options},
        RemoteWrite::Parts{Clock::Real(), source_, state_, *cursors_});
  }
  void StopWriting() {
    writer_.reset();
    cursors_.reset();
  }

  /// Appends reports of [from, to), each kStep, as `host`'s own clock, `skew` ahead, has them.
  void Append(const std::string& host, SegmentId id, absl::Time from, absl::Time to,
              absl::Duration skew = absl::ZeroDuration(), bool corrected = true) {
    source_.Open(host, id, from + skew, corrected ? -skew : absl::ZeroDuration());
    for (absl::Time time = from; time < to; time += kStep) {
      source_.Append(host, id, MakeCounters(time + skew, now_ + skew - absl::Hours(24 * 30)));
    }
  }

  bool WaitUntilSent() {
    return WaitFor(
        [this] {
          // The first round may not have looked yet.
          const ReceiverStats stats = writer_->stats()[0];
          return stats.requests > 0 && stats.pending_segments == 0 &&
                 stats.lag == absl::ZeroDuration();
        },
        absl::Seconds(60));
  }

  std::optional<double> Count(const std::string& host, const char* range = "2h") {
    return tsdb_.Query(absl::StrCat("count_over_time(node_context_switches_total{instance=\"", host,
                                    "\"}[", range, "])"),
                       now_ + absl::Seconds(30));
  }
  std::optional<double> Resets(const std::string& host) {
    return tsdb_.Query(
        absl::StrCat("resets(node_context_switches_total{instance=\"", host, "\"}[2h])"),
        now_ + absl::Seconds(30));
  }

  const absl::Time now_ =
      absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now()));  // of the youngest report
  test::TempDir dir_;
  TsdbServer tsdb_{GetParam()};
  MemorySegmentSource source_{Clock::Real()};
  FleetState state_{Clock::Real(), StateOptions{}};
  std::unique_ptr<CursorStore> cursors_;
  std::unique_ptr<RemoteWrite> writer_;
};

TEST_P(RemoteWriteTest, WrongClocksAndOldSegmentsHarmNobodyElse) {
  const absl::Time from = now_ - absl::Minutes(20);
  Append("ahead", {1, 0}, from, now_, absl::Hours(24));
  Append("behind", {2, 0}, from, now_, -absl::Hours(24));
  Append("lying", {3, 0}, from, now_, absl::Hours(24), false);  // nobody knows that it is ahead
  Append("good", {4, 0}, from, now_);
  StartWriting();
  ASSERT_TRUE(WaitUntilSent()) << tsdb_.log();
  // Behind samples of now: an empty Prometheus would take it.
  Append("old", {5, 0}, now_ - absl::Hours(24 * 7), now_ - absl::Hours(24 * 7) + absl::Minutes(5));
  // And what is live after all that.
  source_.Append("good", {4, 0}, MakeCounters(now_, now_ - absl::Hours(24 * 30)));
  source_.Append("ahead", {1, 0},
                 MakeCounters(now_ + absl::Hours(24), now_ - absl::Hours(24 * 29)));
  EXPECT_TRUE(WaitFor([&] { return Count("good") == 121 && Count("ahead") == 121; }))
      << Count("good").value_or(-1) << " " << Count("ahead").value_or(-1);
  EXPECT_EQ(Count("behind"), 120);
  EXPECT_EQ(Count("lying"), std::nullopt);
  for (const char* host : {"ahead", "behind", "good"}) EXPECT_EQ(Resets(host), 0) << host;
  // Of the week-old segment: two samples of each report's check, and four about it.
  const uint64_t future = 2 * 120;
  const auto refused = [&] { return writer_->stats()[0].dropped() - future; };
  const auto old = [&] {
    return tsdb_.Query("count_over_time(node_context_switches_total{instance=\"old\"}[1h])",
                       now_ - absl::Hours(24 * 7) + absl::Minutes(5));
  };
  if (GetParam() == TsdbServer::Kind::kPrometheus) {
    EXPECT_TRUE(WaitFor([&] { return refused() == 30 * 6u; })) << refused();
    EXPECT_EQ(old(), std::nullopt);
  } else {
    EXPECT_TRUE(WaitFor([&] { return old() == 30; })) << old().value_or(-1);
    EXPECT_EQ(refused(), 0u);
  }
  EXPECT_EQ(writer_->stats()[0].samples.dropped[static_cast<size_t>(DropReason::kFuture)], future);
}

TEST_P(RemoteWriteTest, ACutLinkLeavesNoGap) {
  // Live until 20 minutes ago, cut for ten minutes, live again; the backlog drains after that.
  const absl::Time cut = now_ - absl::Minutes(20);
  const absl::Time back = now_ - absl::Minutes(10);
  Append("tempo", {1, 0}, now_ - absl::Minutes(30), cut);
  source_.Close("tempo", {1, 0});
  StartWriting();
  ASSERT_TRUE(WaitUntilSent());
  source_.SetAwaits("tempo", cut + absl::Seconds(1));
  Append("tempo", {1, 2}, back, now_);  // live first
  ASSERT_TRUE(WaitFor([&] { return writer_->stats()[0].pending_segments == 1; }));
  Append("tempo", {1, 1}, cut, back);
  source_.Close("tempo", {1, 1});
  source_.SetAwaits("tempo", absl::InfiniteFuture());
  ASSERT_TRUE(WaitFor([&] { return Count("tempo") == 180; })) << Count("tempo").value_or(-1);
  EXPECT_EQ(Resets("tempo"), 0);
  EXPECT_EQ(writer_->stats()[0].dropped(), 0u);
  const auto points = tsdb_.Range("node_context_switches_total{instance=\"tempo\"}",
                                  now_ - absl::Minutes(30), now_ - kStep, kStep);
  EXPECT_EQ(points.size(), 180u);
}

TEST_P(RemoteWriteTest, AReceiverThatWasGoneGetsEverything) {
  Append("tempo", {1, 0}, now_ - absl::Minutes(30), now_ - absl::Minutes(20));
  StartWriting();
  ASSERT_TRUE(WaitUntilSent());
  tsdb_.Stop();
  Append("tempo", {1, 1}, now_ - absl::Minutes(20), now_);
  ASSERT_TRUE(WaitFor([&] { return writer_->stats()[0].failed_requests >= 2; }));
  EXPECT_LT(writer_->stats()[0].failing_since, absl::Now());
  ASSERT_TRUE(tsdb_.Start()) << tsdb_.log();
  ASSERT_TRUE(WaitFor([&] { return Count("tempo") == 180; }, absl::Seconds(60)))
      << Count("tempo").value_or(-1) << " " << writer_->stats()[0].failure;
  EXPECT_EQ(Resets("tempo"), 0);
  EXPECT_EQ(writer_->stats()[0].dropped(), 0u);
}

TEST_P(RemoteWriteTest, AWrongPathLosesNothing) {
  Append("tempo", {1, 0}, now_ - absl::Minutes(20), now_);
  StartWriting(500, "r");
  ASSERT_TRUE(WaitFor([&] { return writer_->stats()[0].failed_requests >= 2; }));
  EXPECT_LT(writer_->stats()[0].failing_since, absl::Now());
  EXPECT_EQ(writer_->stats()[0].dropped(), 0u) << writer_->stats()[0].failure;
  StopWriting();
  StartWriting();
  EXPECT_TRUE(WaitFor([&] { return Count("tempo") == 120; })) << Count("tempo").value_or(-1);
}

TEST_P(RemoteWriteTest, AWriterEndedInTheMiddleLosesNothing) {
  // Within the hour that Prometheus takes of new series, and much more than one request.
  for (int host = 0; host < 4; ++host) {
    Append(absl::StrCat("host", host), {1, 0}, now_ - absl::Minutes(50), now_);
  }
  for (int i = 0; i < 5; ++i) {
    StartWriting(12);
    ASSERT_TRUE(WaitFor([&] { return writer_->stats()[0].requests > 0; }));
    StopWriting();
  }
  StartWriting();
  for (int host = 0; host < 4; ++host) {
    const std::string name = absl::StrCat("host", host);
    EXPECT_TRUE(WaitFor([&] { return Count(name) == 300; })) << Count(name).value_or(-1);
    EXPECT_EQ(Resets(name), 0);
  }
}

TEST_P(RemoteWriteTest, SeriesThatEndAreStaleAtOnce) {
  Report both = MakeCounters(now_ - absl::Minutes(2), now_ - absl::Hours(1));
  both.samples.AddRaw({"node_disk_io_now", MetricType::kGauge, "Now."}, R"(device="sda")", 1);
  source_.Open("tempo", {1, 0}, now_ - absl::Minutes(2));
  source_.Append("tempo", {1, 0}, both);
  source_.Append("tempo", {1, 0},
                 MakeCounters(now_ - absl::Minutes(2) + kStep, now_ - absl::Hours(1)));
  StartWriting();
  ASSERT_TRUE(WaitUntilSent());
  const auto at = [&](const char* name, absl::Duration after) {
    return tsdb_.Query(absl::StrCat(name, "{instance=\"tempo\"}"), now_ - absl::Minutes(2) + after);
  };
  ASSERT_TRUE(WaitFor([&] { return at("node_load1", kStep) == 1; }));
  EXPECT_EQ(at("node_disk_io_now", absl::Seconds(5)), 1);
  EXPECT_EQ(at("node_disk_io_now", kStep), std::nullopt);
  EXPECT_EQ(at("node_load1", absl::Seconds(15)), 1);
  EXPECT_EQ(at("fleet_check_status", kStep), 0);
}

INSTANTIATE_TEST_SUITE_P(Tsdb, RemoteWriteTest,
                         Values(TsdbServer::Kind::kPrometheus, TsdbServer::Kind::kPrometheusWindow,
                                TsdbServer::Kind::kVictoriaMetrics),
                         [](const auto& parameter) {
                           return std::string(TsdbServer::Name(parameter.param));
                         });

}  // namespace
}  // namespace fleet::collector
