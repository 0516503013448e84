#include "collector/ingest.h"

#include <gmock/gmock.h>

#include <thread>

#include "common/segment/encoder.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::HasSubstr;

v1::Hello HelloOf(const std::string& host, v1::Hello::Lane lane = v1::Hello::LANE_LIVE) {
  v1::Hello hello;
  hello.set_host(host);
  hello.set_lane(lane);
  return hello;
}

Report ReportOf(absl::string_view check) {
  static constexpr MetricDesc kValue = {"fleet_example_value", MetricType::kGauge, "A value."};
  Report report;
  report.check = std::string(check);
  report.interval = absl::Seconds(10);
  report.samples.Add(kValue, {}, 1);
  return report;
}

class IngestHubTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<IngestStream>> Open(const v1::Hello& hello,
                                                     const std::string& certificate = "") {
    return hub_.Open(hello, certificate, "10.235.0.3",
                     [this](const absl::Status& status) { closed_.push_back(status); });
  }
  v1::Records Records(SegmentEncoder& encoder) {
    v1::Records records;
    records.set_epoch(encoder.id().epoch);
    records.set_segment(encoder.id().number);
    records.set_first_index(encoder.next_index());
    EXPECT_THAT(encoder.Append(ReportOf("disk"), *records.mutable_data()), IsOk());
    return records;
  }
  absl::Status Take(IngestStream& stream, const v1::Records& records) {
    return stream.Take(records, [this](const v1::Ack& ack) { acks_.push_back(ack.next_index()); });
  }

  test::FakeClock clock_;
  SelfMetrics metrics_;
  FleetState state_{clock_, StateOptions()};
  IngestHub hub_{state_, metrics_};
  std::vector<absl::Status> closed_;
  std::vector<uint64_t> acks_;
};

TEST_F(IngestHubTest, AcksWhatItHandedOn) {
  auto stream = Open(HelloOf("tempo"));
  ASSERT_THAT(stream, IsOk());
  SegmentEncoder encoder({7, 0}, clock_.Now());
  EXPECT_THAT(Take(**stream, Records(encoder)), IsOk());
  EXPECT_THAT(Take(**stream, Records(encoder)), IsOk());
  SegmentEncoder next({7, 1}, clock_.Now());
  EXPECT_THAT(Take(**stream, Records(next)), IsOk());
  EXPECT_THAT(acks_, ::testing::ElementsAre(1, 2, 1));
  ASSERT_EQ(state_.Snapshot("tempo").hosts.size(), 1);
  EXPECT_EQ(state_.Snapshot("tempo").hosts[0].checks.size(), 1);
}

TEST_F(IngestHubTest, ASegmentStartsAtItsBeginning) {
  auto stream = Open(HelloOf("tempo"));
  SegmentEncoder encoder({7, 0}, clock_.Now());
  Records(encoder);
  EXPECT_THAT(Take(**stream, Records(encoder)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 0")));
  EXPECT_THAT(acks_, ::testing::IsEmpty());
}

TEST_F(IngestHubTest, TheCertificateDecidesWhoItIs) {
  EXPECT_EQ((*Open(HelloOf(""), "tempo"))->host(), "tempo");
  EXPECT_EQ((*Open(HelloOf("tempo"), "tempo"))->host(), "tempo");
  EXPECT_THAT(Open(HelloOf("tempo"), "parasect"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("may not report for")));
  EXPECT_THAT(Open(HelloOf("")), test::HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(IngestHubTest, TheNewerLiveStreamWins) {
  auto first = Open(HelloOf("tempo"));
  auto backlog = Open(HelloOf("tempo", v1::Hello::LANE_BACKLOG));
  EXPECT_TRUE(closed_.empty());
  auto second = Open(HelloOf("tempo"));
  ASSERT_EQ(closed_.size(), 1);
  EXPECT_THAT(closed_[0], StatusIs(absl::StatusCode::kAborted, HasSubstr("a newer stream")));
  first->reset();  // late, and it must not take the second's place away
  auto third = Open(HelloOf("tempo"));
  EXPECT_EQ(closed_.size(), 2);
  EXPECT_EQ(hub_.size(), 3);
}

TEST_F(IngestHubTest, DrainingEndsAllAndAdmitsNobody) {
  auto stream = Open(HelloOf("tempo"));
  hub_.Drain();
  EXPECT_EQ(closed_.size(), 1);
  EXPECT_THAT(Open(HelloOf("parasect")), test::HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(IngestHubTest, ManyThreadsShareIt) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int j = 0; j < 50; ++j) {
        auto stream = hub_.Open(HelloOf(absl::StrCat("host", (i + j) % 3)), "", "10.235.0.3",
                                [](const absl::Status&) {});
        ASSERT_THAT(stream, IsOk());
        SegmentEncoder encoder({static_cast<uint64_t>(i), static_cast<uint64_t>(j)}, clock_.Now());
        v1::Records records = Records(encoder);
        EXPECT_THAT((*stream)->Take(records, [](const v1::Ack&) {}), IsOk());
        hub_.SetMetrics();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(hub_.size(), 0);
  EXPECT_THAT(metrics_.Render(), HasSubstr("fleet_collector_reports_total{lane=\"live\"} 200\n"));
}

}  // namespace
}  // namespace fleet::collector
