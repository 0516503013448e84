#include "agent/outbox.h"

#include "common/segment/decoder.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeClock;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Optional;

constexpr MetricDesc kGauge = {"node_load1", MetricType::kGauge, "1m load average."};

std::shared_ptr<const Report> MakeReport(const std::string& check, double value,
                                         Verdict verdict = Verdict::kOk) {
  Report report;
  report.check = check;
  report.verdict = verdict;
  report.interval = absl::Seconds(10);
  report.samples.Add(kGauge, {}, value);
  return std::make_shared<const Report>(std::move(report));
}

/// "check value" of every report in a batch that starts a segment.
std::vector<std::string> Decode(SegmentDecoder& decoder, const std::string& records) {
  std::vector<std::string> lines;
  EXPECT_THAT(decoder.Feed(records,
                           [&](const DecodedReport& report) {
                             lines.push_back(absl::StrCat(report.check, " ", report.values()[0]));
                             return absl::OkStatus();
                           }),
              IsOk());
  return lines;
}

TEST(OutboxTest, KeepsTheNewestOfEachCheckWhileNobodyListens) {
  FakeClock clock;
  Outbox outbox(7, clock);
  EXPECT_EQ(outbox.Add(MakeReport("load", 1)), std::nullopt);
  outbox.Add(MakeReport("load", 2));
  outbox.Add(MakeReport("disk", 3));
  EXPECT_FALSE(outbox.Take().has_value());
  outbox.Open();
  const auto batch = outbox.Take();
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->segment, (SegmentId{7, 0}));
  EXPECT_EQ(batch->first_index, 0u);
  SegmentDecoder decoder;
  EXPECT_THAT(Decode(decoder, batch->records), ElementsAre("disk 3", "load 2"));
}

TEST(OutboxTest, ChangesLeaveAtOnceAndCalmReportsTogether) {
  FakeClock clock;
  Outbox outbox(7, clock);
  outbox.Open();
  EXPECT_THAT(outbox.Add(MakeReport("load", 1)), Optional(Eq(clock.SteadyNow())));
  outbox.Take();
  EXPECT_THAT(outbox.Add(MakeReport("load", 2)),
              Optional(Eq(SteadyAfter(clock.SteadyNow(), Outbox::kLinger))));
  EXPECT_EQ(outbox.Add(MakeReport("load", 3)), std::nullopt);
  EXPECT_THAT(outbox.Add(MakeReport("load", 4, Verdict::kCrit)), Optional(Eq(clock.SteadyNow())));
}

TEST(OutboxTest, EveryStreamStartsItsOwnSegment) {
  FakeClock clock;
  Outbox outbox(7, clock);
  outbox.Open();
  outbox.Add(MakeReport("load", 1));
  SegmentDecoder first;
  EXPECT_THAT(Decode(first, outbox.Take()->records), ElementsAre("load 1"));
  outbox.Add(MakeReport("load", 2));
  const auto second_batch = outbox.Take();
  EXPECT_EQ(second_batch->first_index, 1u);
  EXPECT_THAT(Decode(first, second_batch->records), ElementsAre("load 2"));

  outbox.Close();
  outbox.Open();
  const auto fresh = outbox.Take();
  EXPECT_EQ(fresh->segment, (SegmentId{7, 1}));
  SegmentDecoder decoder;
  EXPECT_THAT(Decode(decoder, fresh->records), ElementsAre("load 2"));
}

TEST(OutboxTest, DropsTheOldestWhenTooManyWait) {
  FakeClock clock;
  Outbox outbox(7, clock);
  outbox.Open();
  for (size_t i = 0; i < Outbox::kPendingMax + 5; ++i) {
    outbox.Add(MakeReport("load", static_cast<double>(i)));
  }
  EXPECT_EQ(outbox.dropped(), 5u);
  SegmentDecoder decoder;
  EXPECT_EQ(Decode(decoder, outbox.Take()->records).front(), "load 5");
}

}  // namespace
}  // namespace fleet::agent
