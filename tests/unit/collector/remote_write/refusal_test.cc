// What a receiver refuses is found, dropped and counted; everything else arrives.
#include <gmock/gmock.h>

#include "absl/strings/match.h"
#include "collector/remote_write/answer.h"
#include "tests/support/receiver_rig.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FakeReceiver;
using ::fleet::test::kFirst;
using ::fleet::test::kLoad;
using ::fleet::test::kSecond;
using ::fleet::test::Load;
using ::fleet::test::MakeReport;
using ::fleet::test::MakeResponse;
using ::fleet::test::ReceiverRig;
using ::testing::ElementsAre;

/// A report with many series, as real checks have.
Report Many(double value, int series = 200) {
  std::vector<std::pair<std::string, double>> samples;
  for (int i = 0; i < series; ++i) {
    samples.emplace_back(absl::StrCat("node_disk_io_now{device=\"sd", i, "\"}"), value + i);
  }
  return MakeReport("disk", samples);
}

TEST(AnswerTest, TellsWhatToDoByCodeAndWords) {
  struct Case {
    int code;
    const char* body;
    Answer::Kind kind;
    DropReason reason;
  };
  using Kind = Answer::Kind;
  const Case cases[] = {
      {200, "", Kind::kTaken, DropReason::kRefused},
      {204, "", Kind::kTaken, DropReason::kRefused},
      {400, "out of order sample\n", Kind::kRefused, DropReason::kOutOfOrder},
      {400, "who knows", Kind::kRefused, DropReason::kRefused},
      {400, "", Kind::kRefused, DropReason::kRefused},
      {400, "(err-mimir-sample-out-of-order)", Kind::kRefused, DropReason::kOutOfOrder},
      {400, "(err-mimir-sample-timestamp-too-old)", Kind::kRefused, DropReason::kTooOld},
      {400, "(err-mimir-sample-duplicate-timestamp)", Kind::kRefused, DropReason::kDuplicate},
      {409, "store: out of bounds", Kind::kRefused, DropReason::kOutOfBounds},
      {500, "too old sample", Kind::kRefused, DropReason::kTooOld},
      {500, "Out of bounds", Kind::kRefused, DropReason::kOutOfBounds},
      {503, "duplicate sample for timestamp", Kind::kRefused, DropReason::kDuplicate},
      {500, "disk is full", Kind::kRetry, DropReason::kRefused},
      {503, "", Kind::kRetry, DropReason::kRefused},
      {429, "too old clients, slow down", Kind::kRetry, DropReason::kTooOld},
      {401, "who are you", Kind::kRetry, DropReason::kRefused},
      {404, "remote write receiver needs to be enabled", Kind::kRetry, DropReason::kRefused},
      {409, "conflict", Kind::kRetry, DropReason::kRefused},
      {413, "", Kind::kTooLarge, DropReason::kRefused},
      {302, "", Kind::kRetry, DropReason::kRefused},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(absl::StrCat(one.code, " ", one.body));
    const Answer answer = ReadAnswer(MakeResponse(one.code, one.body), absl::UnixEpoch());
    EXPECT_EQ(answer.kind, one.kind);
    EXPECT_EQ(answer.reason, one.reason);
  }
  EXPECT_EQ(ReadAnswer(absl::UnavailableError("refused"), absl::UnixEpoch()).kind, Kind::kRetry);
}

TEST(AnswerTest, ReadsRetryAfter) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);  // Tue, 14 Nov 2023 22:13:20 GMT
  EXPECT_EQ(ParseRetryAfter("120", now), absl::Seconds(120));
  EXPECT_EQ(ParseRetryAfter(" 0 ", now), absl::ZeroDuration());
  EXPECT_EQ(ParseRetryAfter("Tue, 14 Nov 2023 22:14:00 GMT", now), absl::Seconds(40));
  EXPECT_EQ(ParseRetryAfter("Tue, 14 Nov 2023 22:13:00 GMT", now), absl::ZeroDuration());
  EXPECT_EQ(ParseRetryAfter("99999999999999999", now), kRetryAfterMax);
  for (const char* text : {"", "-5", "soon", "1e3", "Tue"}) {
    EXPECT_EQ(ParseRetryAfter(text, now), absl::ZeroDuration()) << text;
  }
}

TEST(RefusalTest, OneBadSampleCostsNoOther) {
  for (const auto& [code, words] :
       std::vector<std::pair<int, const char*>>{{400, "some validation failed"},
                                                {400, "duplicate sample"},
                                                {500, "duplicate: too bad"}}) {
    SCOPED_TRACE(words);
    FakeReceiver::Options options;
    options.refuse = [code = code, words = words](
                         const std::string& series,
                         const FakeReceiver::Sample& sample) -> std::optional<HttpResponse> {
      if (absl::StrContains(series, "\"sd77\"") && sample.value == 1077) {
        return MakeResponse(code, words);
      }
      return std::nullopt;
    };
    ReceiverRig rig(options);
    rig.source.Open("tempo", kFirst, rig.start);
    for (int i = 0; i < 4; ++i) rig.Report("tempo", kFirst, Many(1000 * i), absl::Seconds(10 * i));
    rig.Advance(absl::Seconds(30));
    EXPECT_EQ(rig.receiver->stats().dropped(), 1u);
    EXPECT_EQ(rig.receiver->stats().samples.sent, 4 * 204u - 1);
    EXPECT_THAT(
        rig.Values(R"(node_disk_io_now{device="sd77",instance="tempo",job="fleet"})", rig.start),
        ElementsAre("0:77", "20:2077", "30:3077"));
    EXPECT_LT(rig.tsdb.requests, 40);
  }
}

TEST(RefusalTest, AnErrorThatIsNotTheSamplesDropsNothing) {
  ReceiverRig rig;
  rig.Round();  // asks for the receiver's clock
  int failures = 3;
  rig.tsdb.answer = [&failures]() -> std::optional<absl::StatusOr<HttpResponse>> {
    if (failures-- > 0) return MakeResponse(500, "disk is full");
    return std::nullopt;
  };
  rig.source.Open("tempo", kFirst, rig.start);
  rig.Report("tempo", kFirst, Many(1));
  for (int i = 0; i < 30; ++i) rig.Advance(absl::Seconds(1));
  EXPECT_EQ(rig.receiver->stats().dropped(), 0u);
  EXPECT_EQ(rig.receiver->stats().failed_requests, 3u);
  EXPECT_EQ(rig.receiver->stats().retried_samples, 3 * 204u);
  EXPECT_EQ(rig.receiver->stats().samples.sent, 204u);
}

// VictoriaMetrics answers so to a path that it does not know.
TEST(RefusalTest, AWrongEndpointCostsNoSample) {
  for (const int code : {400, 413}) {
    for (const bool worked : {false, true}) {
      SCOPED_TRACE(absl::StrCat(code, worked ? " after it worked" : " from the start"));
      ReceiverRig rig;
      if (worked) rig.Round();
      rig.tsdb.answer = [code] { return MakeResponse(code, "unsupported path requested"); };
      for (const char* host : {"tempo", "parasect"}) {
        rig.source.Open(host, kFirst, rig.start);
        rig.Report(host, kFirst, Many(1));
      }
      for (int i = 0; i < 600; ++i) rig.Advance(absl::Seconds(1));
      const ReceiverStats stats = rig.receiver->stats();
      EXPECT_EQ(stats.dropped(), 0u);
      EXPECT_EQ(stats.pending_segments, 2u);
      EXPECT_LT(rig.tsdb.requests, 80);
      EXPECT_LE(stats.failing_since, rig.start + absl::Seconds(1));
      EXPECT_EQ(stats.failure,
                absl::StrCat("refuses even a request without samples, is the URL right? HTTP ",
                             code, ": unsupported path requested"));
      rig.Restart();  // what is on disk says that nothing has arrived
      rig.tsdb.answer = nullptr;
      for (int i = 0; i < 40; ++i) rig.Advance(absl::Seconds(1));
      EXPECT_EQ(rig.receiver->stats().samples.sent, 2 * 204u);
      EXPECT_EQ(rig.receiver->stats().dropped(), 0u);
      EXPECT_EQ(rig.receiver->stats().failing_since, absl::InfiniteFuture());
    }
  }
}

TEST(RefusalTest, WhatRefusesEverySampleAndWorksDropsThem) {
  FakeReceiver::Options options;
  options.refuse = [](const std::string& series,
                      const FakeReceiver::Sample&) -> std::optional<HttpResponse> {
    if (absl::StrContains(series, "tempo")) return MakeResponse(400, "label value is not ours");
    return std::nullopt;
  };
  ReceiverRig rig(options);
  rig.source.Open("tempo", kFirst, rig.start);
  rig.Report("tempo", kFirst, Load(1));
  rig.Round();
  EXPECT_EQ(rig.dropped(DropReason::kRefused), 5u);
  EXPECT_EQ(rig.receiver->stats().pending_segments, 0u);
  EXPECT_EQ(rig.receiver->stats().failing_since, absl::InfiniteFuture());
}

TEST(RefusalTest, ARequestThatIsTooLargeIsSentInPieces) {
  ReceiverRig rig;
  rig.source.Open("tempo", kFirst, rig.start);
  rig.Report("tempo", kFirst, Many(1));
  rig.tsdb.options.refuse = [&rig](const std::string&,
                                   const FakeReceiver::Sample&) -> std::optional<HttpResponse> {
    return rig.tsdb.requests < 4 ? std::optional(MakeResponse(413)) : std::nullopt;
  };
  rig.Round();
  EXPECT_EQ(rig.receiver->stats().dropped(), 0u);
  EXPECT_EQ(rig.receiver->stats().samples.sent, 204u);
}

/// Live for ten minutes, then a segment that is `age` old.
struct Late {
  explicit Late(ReceiverRig& rig, absl::Duration age, int reports = 30) : reports_sent(reports) {
    rig.source.Open("tempo", kSecond, rig.start);
    for (int i = 0; i < 60; ++i) {
      rig.Report("tempo", kSecond, Many(i));
      rig.Advance(absl::Seconds(10));
    }
    live = rig.receiver->stats().samples.sent;
    requests = rig.tsdb.requests;
    rig.source.Open("tempo", kFirst, rig.clock.Now() - age);
    for (int i = 0; i < reports; ++i) {
      rig.Report("tempo", kFirst, Many(i), absl::Seconds(10 * i) - age);
    }
    rig.Report("tempo", kSecond, Many(99));
    rig.Advance(absl::Seconds(10));
    requests = rig.tsdb.requests - requests;
  }
  int reports_sent;
  uint64_t live = 0;
  int requests = 0;
};

TEST(RefusalTest, AWeekOldSegmentIsCountedAndDelaysNobody) {
  ReceiverRig rig;  // takes nothing out of order
  const Late late(rig, absl::Hours(24 * 7));
  // One sample tells for all of its time.
  EXPECT_LT(late.requests, 2 * late.reports_sent + 40);
  EXPECT_EQ(rig.dropped(DropReason::kOutOfBounds), 30 * 204u);
  EXPECT_EQ(rig.receiver->stats().samples.sent - late.live, 204u);
}

TEST(RefusalTest, AWeekOldSegmentBesideAWindow) {
  ReceiverRig rig({.window = absl::Minutes(30), .head = absl::Hours(1), .refuse = nullptr});
  const Late late(rig, absl::Hours(24 * 7));
  EXPECT_LT(late.requests, 2 * late.reports_sent + 40);
  EXPECT_EQ(rig.dropped(DropReason::kTooOld), 30 * 204u);
}

TEST(RefusalTest, ALateSegmentInsideTheWindowArrivesWhole) {
  ReceiverRig rig({.window = absl::Minutes(30), .head = absl::Hours(1), .refuse = nullptr});
  const Late late(rig, absl::Minutes(20));
  EXPECT_EQ(rig.receiver->stats().dropped(), 0u);
  EXPECT_EQ(rig.Values(R"(node_disk_io_now{device="sd0",instance="tempo",job="fleet"})", rig.start)
                .size(),
            60u + 30u + 1u);
}

TEST(RefusalTest, ALateSegmentOfKnownSeriesIsRefusedByTheTimeNotByTheSample) {
  ReceiverRig rig;  // takes nothing out of order
  const Late late(rig, absl::Minutes(20));
  EXPECT_EQ(rig.dropped(DropReason::kOutOfOrder), 30 * 204u);
  EXPECT_LT(late.requests, 2 * late.reports_sent + 40);
}

TEST(RefusalTest, AClockSetBackMakesNoRefusalBelievedForLonger) {
  bool refuses = true;
  FakeReceiver::Options options;
  options.head = absl::Hours(100);
  options.refuse = [&refuses](const std::string&,
                              const FakeReceiver::Sample&) -> std::optional<HttpResponse> {
    return refuses ? std::optional(MakeResponse(400, "out of bounds")) : std::nullopt;
  };
  ReceiverRig rig(options);
  rig.source.Open("parasect", kFirst, rig.start);
  rig.Report("parasect", kFirst, Load(1));
  rig.Round();
  EXPECT_EQ(rig.dropped(DropReason::kOutOfBounds), 5u);
  refuses = false;
  rig.clock.JumpWall(-absl::Hours(24));
  rig.clock.Advance(KnownRefusals::kBelieved);
  rig.source.Open("tempo", kFirst, rig.clock.Now());
  rig.Report("tempo", kFirst, Load(2));
  rig.Round();
  EXPECT_EQ(rig.dropped(DropReason::kOutOfBounds), 5u);
  EXPECT_THAT(rig.Values(kLoad, rig.clock.Now()), ElementsAre("0:2"));
}

TEST(RefusalTest, SeriesThatAreNewArriveEvenWhenOldOnesAreRefused) {
  ReceiverRig rig;
  rig.source.Open("tempo", kSecond, rig.start);
  rig.Report("tempo", kSecond, Many(1));
  rig.Round();
  rig.source.Open("tempo", kFirst, rig.start - absl::Minutes(20));
  rig.Report("tempo", kFirst, Many(1), -absl::Minutes(20));
  rig.Report("tempo", kFirst, Load(1), -absl::Minutes(20));
  rig.Report("tempo", kFirst, Load(2), -absl::Minutes(20) + absl::Seconds(10));
  rig.Advance(absl::Seconds(1));
  EXPECT_THAT(rig.Values(kLoad, rig.start), ElementsAre("-1200:1", "-1190:2"));
  EXPECT_EQ(rig.dropped(DropReason::kOutOfOrder), 204u);
}

}  // namespace
}  // namespace fleet::collector
