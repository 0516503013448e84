#include "collector/ingest.h"

#include <gmock/gmock.h>

#include <optional>
#include <thread>

#include "common/segment/encoder.h"
#include "tests/support/fake_clock.h"
#include "tests/support/forgetful_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

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

/// Remembers what a stream is told.
class Recorder final : public IngestClient {
 public:
  void Ack(const v1::Ack& ack) override {
    MutexLock lock(mutex_);
    acks_.push_back(ack.next_index());
  }
  void Resume() override {
    MutexLock lock(mutex_);
    ++resumes_;
  }
  void Close(const absl::Status& reason) override {
    MutexLock lock(mutex_);
    closed_.push_back(reason);
  }
  void Tell(const v1::CollectorMessage&) override {}
  std::vector<uint64_t> acks() const {
    MutexLock lock(mutex_);
    return acks_;
  }
  int resumes() const {
    MutexLock lock(mutex_);
    return resumes_;
  }
  std::vector<absl::Status> closed() const {
    MutexLock lock(mutex_);
    return closed_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<uint64_t> acks_ ABSL_GUARDED_BY(mutex_);
  int resumes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<absl::Status> closed_ ABSL_GUARDED_BY(mutex_);
};

class IngestHubTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<IngestStream>> Open(const v1::Hello& hello,
                                                     const std::string& certificate = "") {
    return hub_.Open(hello, certificate, "10.235.0.3", client_);
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
    return stream.Take(records).status();
  }

  test::FakeClock clock_;
  SelfMetrics metrics_;
  FleetState state_{clock_, StateOptions()};
  IngestHub hub_{state_, metrics_, clock_};
  std::shared_ptr<Recorder> client_ = std::make_shared<Recorder>();
};

TEST_F(IngestHubTest, AcksWhatItHandedOn) {
  auto stream = Open(HelloOf("tempo"));
  ASSERT_THAT(stream, IsOk());
  SegmentEncoder encoder({7, 0}, clock_.Now());
  EXPECT_THAT(Take(**stream, Records(encoder)), IsOk());
  EXPECT_THAT(Take(**stream, Records(encoder)), IsOk());
  SegmentEncoder next({7, 1}, clock_.Now());
  EXPECT_THAT(Take(**stream, Records(next)), IsOk());
  EXPECT_THAT(client_->acks(), ::testing::ElementsAre(1, 2, 1));
  ASSERT_EQ(state_.Snapshot("tempo").hosts.size(), 1);
  EXPECT_EQ(state_.Snapshot("tempo").hosts[0].checks.size(), 1);
}

TEST_F(IngestHubTest, ASegmentStartsAtItsBeginning) {
  auto stream = Open(HelloOf("tempo"));
  SegmentEncoder encoder({7, 0}, clock_.Now());
  Records(encoder);
  EXPECT_THAT(Take(**stream, Records(encoder)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 0")));
  EXPECT_THAT(client_->acks(), ::testing::IsEmpty());
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
  EXPECT_TRUE(client_->closed().empty());
  auto second = Open(HelloOf("tempo"));
  ASSERT_EQ(client_->closed().size(), 1);
  EXPECT_THAT(client_->closed()[0],
              StatusIs(absl::StatusCode::kAborted, HasSubstr("a newer stream")));
  first->reset();  // late, and it must not take the second's place away
  auto third = Open(HelloOf("tempo"));
  EXPECT_EQ(client_->closed().size(), 2);
  EXPECT_EQ(hub_.size(), 3);
}

TEST_F(IngestHubTest, TheNewerBacklogWinsTooAndLeavesTheLiveStreamAlone) {
  v1::Hello backlog = HelloOf("tempo");
  backlog.set_lane(v1::Hello::LANE_BACKLOG);
  const auto live = Open(HelloOf("tempo"));
  const auto first = hub_.Open(backlog, "", "10.235.0.3", client_);
  const auto older = std::make_shared<Recorder>();
  auto second = hub_.Open(backlog, "", "10.235.0.3", older);
  ASSERT_THAT(second, IsOk());
  EXPECT_THAT(client_->closed(), ::testing::ElementsAre(test::HasCode(absl::StatusCode::kAborted)));
  EXPECT_THAT(older->closed(), ::testing::IsEmpty());
  EXPECT_EQ(hub_.size(), 3u);
  *second = nullptr;
  EXPECT_THAT(hub_.Open(backlog, "", "10.235.0.3", client_), IsOk());
  EXPECT_EQ(client_->closed().size(), 1u);
}

TEST_F(IngestHubTest, DrainingEndsAllAndAdmitsNobody) {
  auto stream = Open(HelloOf("tempo"));
  hub_.Drain();
  EXPECT_EQ(client_->closed().size(), 1);
  EXPECT_THAT(Open(HelloOf("parasect")), test::HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(IngestHubTest, ManyThreadsShareIt) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, i] {
      for (int j = 0; j < 50; ++j) {
        auto stream = hub_.Open(HelloOf(absl::StrCat("host", (i + j) % 3)), "", "10.235.0.3",
                                std::make_shared<Recorder>());
        ASSERT_THAT(stream, IsOk());
        SegmentEncoder encoder({static_cast<uint64_t>(i), static_cast<uint64_t>(j)}, clock_.Now());
        v1::Records records = Records(encoder);
        EXPECT_THAT((*stream)->Take(records), IsOk());
        hub_.SetMetrics();
      }
    });
  }
  threads.clear();
  EXPECT_EQ(hub_.size(), 0);
  EXPECT_THAT(metrics_.Render(), HasSubstr("fleet_collector_reports_total{lane=\"live\"} 200\n"));
}

// ---- with a journal -------------------------------------------------------------------------

class IngestJournalTest : public IngestHubTest {
 protected:
  IngestJournalTest() {
    auto journal = Journal::Open({.dir = "/data/journal"}, files_, clock_);
    EXPECT_THAT(journal, IsOk());
    journal_ = *std::move(journal);
    auto events = EventLog::Open("", clock_);
    EXPECT_THAT(events, IsOk());
    events_ = *std::move(events);
    feed_.emplace(*events_, clock_);
    hub_.SetParts({journal_.get(), &*feed_});
  }
  void Settle() {
    ASSERT_TRUE(test::WaitFor([&] {
      clock_.Advance(absl::Milliseconds(50));
      return journal_->Flush(absl::Milliseconds(2));
    }));
  }
  v1::Records Say(SegmentEncoder& encoder, Verdict verdict) {
    v1::Records records;
    records.set_epoch(encoder.id().epoch);
    records.set_segment(encoder.id().number);
    records.set_first_index(encoder.next_index());
    Report report = ReportOf("disk");
    report.start = clock_.Now();
    report.verdict = verdict;
    EXPECT_THAT(encoder.Append(report, *records.mutable_data()), IsOk());
    return records;
  }
  std::vector<std::string> Changes() {
    EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
    std::vector<std::string> lines;
    const auto events = events_->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 100);
    EXPECT_THAT(events, IsOk());
    for (const Event& event : *events) {
      lines.push_back(absl::StrCat(event.host, "/", event.subject, " ", event.from, ">", event.to,
                                   " ", absl::ToUnixSeconds(event.time) - 1'700'000'000));
    }
    return lines;
  }

  test::ForgetfulFileSystem files_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<EventLog> events_;
  std::optional<EventFeed> feed_;
};

TEST_F(IngestJournalTest, AcksWhatIsOnTheDiskAndServesAtOnce) {
  auto stream = Open(HelloOf("tempo"));
  SegmentEncoder encoder({7, 0}, clock_.Now());
  EXPECT_THAT(Take(**stream, Records(encoder)), IsOk());
  EXPECT_THAT(Take(**stream, Records(encoder)), IsOk());
  EXPECT_EQ(state_.Snapshot("tempo").hosts[0].checks.size(), 1u);
  EXPECT_THAT(client_->acks(), ::testing::IsEmpty());
  Settle();
  ASSERT_FALSE(client_->acks().empty());
  EXPECT_EQ(client_->acks().back(), 2u);
}

TEST_F(IngestJournalTest, ASegmentIsDatedWhenItCameAndNotWhenThereWasRoom) {
  files_.SetSpace(files_.bytes());
  const std::string big(1 << 20, 'x');
  for (size_t taken = 0; taken < Journal::kWaitingMax / 2; taken += big.size()) {
    SegmentEncoder other({1, 0}, clock_.Now());
    Journal::Records records;
    const std::string host = absl::StrCat("host", taken);
    records.host = host;
    records.id = other.id();
    records.count = 1;
    records.data = big;
    ASSERT_THAT(journal_->Append(records, nullptr), IsOk());
  }
  auto stream = Open(HelloOf("tempo", v1::Hello::LANE_BACKLOG));
  SegmentEncoder encoder({7, 0}, clock_.Now());
  v1::Records records = Records(encoder);
  records.set_segment_age_seconds(0);
  EXPECT_THAT((*stream)->Take(records), test::IsOkAnd(IngestStream::Next::kWait));
  clock_.Advance(absl::Minutes(10));
  clock_.JumpWall(absl::Hours(1));
  files_.SetSpace(std::nullopt);
  ASSERT_TRUE(test::WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return client_->resumes() > 0;
  }));
  EXPECT_THAT((*stream)->Take(records), test::IsOkAnd(IngestStream::Next::kRead));
  Settle();
  ASSERT_EQ(journal_->Segments("tempo").size(), 1u);
  EXPECT_EQ(journal_->Segments("tempo")[0].offset, absl::Hours(1)) << "as our clock has it now";
}

TEST_F(IngestJournalTest, BacklogIsHistoryAndRepeatsAreIgnored) {
  SegmentEncoder encoder({7, 0}, clock_.Now());
  const v1::Records first = Records(encoder);
  const v1::Records second = Records(encoder);
  {
    auto live = Open(HelloOf("tempo"));
    EXPECT_THAT(Take(**live, first), IsOk());
    Settle();
  }
  v1::Hello hello = HelloOf("tempo", v1::Hello::LANE_BACKLOG);
  v1::SpoolSegment& announced = *hello.add_spool();
  announced.set_epoch(7);
  announced.set_segment(0);
  announced.set_reports(2);
  auto backlog = Open(hello);
  ASSERT_THAT(backlog, IsOk());
  ASSERT_EQ((*backlog)->safe().size(), 1u);
  EXPECT_EQ((*backlog)->safe()[0].next_index(), 1u);
  EXPECT_THAT(Take(**backlog, first), IsOk());
  EXPECT_THAT(Take(**backlog, second), IsOk());
  Settle();
  EXPECT_EQ(client_->acks().back(), 2u);
  EXPECT_THAT(journal_->Read("tempo", {7, 0}), test::IsOkAnd(first.data() + second.data()));
  EXPECT_EQ(journal_->stats().repeats, 1u);
}

TEST_F(IngestJournalTest, ARepeatOnTheLiveLaneIsNotNews) {
  SegmentEncoder encoder({7, 0}, clock_.Now());
  const v1::Records good = Say(encoder, Verdict::kOk);
  auto first = Open(HelloOf("tempo"));
  EXPECT_THAT(Take(**first, good), IsOk());
  SegmentEncoder next({7, 1}, clock_.Now());
  EXPECT_THAT(Take(**first, Say(next, Verdict::kCrit)), IsOk());
  EXPECT_THAT(Take(**first, good), IsOk());
  EXPECT_EQ(state_.Snapshot("tempo").hosts[0].checks[0].status->verdict, Verdict::kCrit);
}

TEST_F(IngestJournalTest, AFullDiskKeepsLiveValuesComingAndEndsTheStreamWhenThereIsSpaceAgain) {
  auto stream = Open(HelloOf("tempo"));
  auto backlog = Open(HelloOf("parasect", v1::Hello::LANE_BACKLOG));
  files_.SetSpace(files_.bytes());
  const std::string text(1 << 20, 'x');
  SegmentEncoder encoder({7, 0}, clock_.Now());
  uint64_t sent = 0;
  for (; sent < 3 * (Journal::kHostWaitingMax >> 20); ++sent) {
    // Megabytes of labels, none of which can be packed much.
    v1::Records records;
    records.set_epoch(7);
    records.set_segment(0);
    records.set_first_index(encoder.next_index());
    Report report = ReportOf("disk");
    for (int item = 0; item < 250; ++item) {
      Item one;
      one.name = absl::StrCat("i", sent, "-", item);
      one.reason = text.substr(0, 4'000);
      report.items.push_back(std::move(one));
    }
    if (!encoder.Append(report, *records.mutable_data()).ok()) break;
    ASSERT_THAT(Take(**stream, records), IsOk());
    if (encoder.bytes() > (15 << 20)) break;
  }
  EXPECT_TRUE(client_->closed().empty());
  EXPECT_THAT(client_->acks(), ::testing::IsEmpty());
  EXPECT_EQ(state_.Snapshot("tempo").hosts[0].checks[0].status->items[0].name,
            absl::StrCat("i", sent, "-0"));
  EXPECT_THAT(metrics_.Render(), HasSubstr("fleet_collector_streams_unkept_total 1\n"));
  files_.SetSpace(std::nullopt);
  ASSERT_TRUE(test::WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return !client_->closed().empty();
  }));
  EXPECT_THAT(client_->closed()[0],
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("must come again")));
}

TEST_F(IngestJournalTest, ASegmentIsDatedByItsAgeElseByTheClockItsAgentHasNow) {
  auto stream = Open(HelloOf("tempo", v1::Hello::LANE_BACKLOG));
  const absl::Time now = clock_.Now();
  const auto take = [&](uint64_t number, absl::Time created, std::optional<absl::Duration> age,
                        absl::Duration skew) {
    SegmentEncoder encoder({7, number}, created);
    v1::Records records = Records(encoder);
    if (age.has_value()) records.set_segment_age_seconds(absl::ToDoubleSeconds(*age));
    records.set_sent_timestamp_seconds(absl::ToDoubleSeconds(now + skew - absl::UnixEpoch()));
    EXPECT_THAT(Take(**stream, records), IsOk());
  };
  const absl::Duration day = absl::Hours(24);
  take(0, now - absl::Hours(1), absl::Hours(1), day);  // its clock was right then
  take(1, now - absl::Hours(1) + day, absl::Hours(1), {});
  take(2, now - absl::Hours(2) - day, std::nullopt, -day);
  take(3, now - absl::Hours(3), std::nullopt, absl::Milliseconds(900));  // near enough
  take(4, now + day, std::nullopt, {});  // nothing comes from the future
  Settle();
  std::map<uint64_t, StoredSegment> found;
  for (const StoredSegment& segment : journal_->Segments("tempo")) {
    found[segment.id.number] = segment;
  }
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0].offset, absl::ZeroDuration());
  EXPECT_EQ(found[1].offset, -day);
  EXPECT_EQ(found[1].created, now - absl::Hours(1));
  EXPECT_EQ(found[2].offset, day);
  EXPECT_EQ(found[3].offset, absl::ZeroDuration());
  EXPECT_EQ(found[4].created, now);
}

TEST_F(IngestJournalTest, ASegmentEndsWhenOurClockIsSet) {
  auto stream = *Open(HelloOf("tempo"));
  SegmentEncoder encoder({7, 0}, clock_.Now());
  EXPECT_THAT(stream->Take(Say(encoder, Verdict::kOk)), IsOk());
  clock_.JumpWall(absl::Seconds(10));  // as ntpd may
  EXPECT_THAT(stream->Take(Say(encoder, Verdict::kOk)), IsOk());
  clock_.JumpWall(absl::Hours(24));
  EXPECT_THAT(stream->Take(Say(encoder, Verdict::kOk)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("clock was set")));
  // The next one is dated by the clock as it is.
  auto again = *Open(HelloOf("tempo"));
  SegmentEncoder next({7, 1}, clock_.Now());
  EXPECT_THAT(again->Take(Say(next, Verdict::kOk)), IsOk());
  EXPECT_THAT(again->Take(Say(next, Verdict::kOk)), IsOk());
}

TEST_F(IngestJournalTest, VerdictsChangeAtTheirOwnTime) {
  SegmentEncoder encoder({7, 0}, clock_.Now());
  const v1::Records good = Say(encoder, Verdict::kOk);
  std::vector<v1::Records> late;
  {
    auto live = Open(HelloOf("tempo"));
    EXPECT_THAT(Take(**live, good), IsOk());
    late.push_back(good);
    for (const Verdict verdict : {Verdict::kWarn, Verdict::kWarn, Verdict::kOk}) {
      clock_.Advance(absl::Seconds(10));
      late.push_back(Say(encoder, verdict));  // the path is cut
    }
  }
  clock_.Advance(absl::Seconds(70));
  auto live = Open(HelloOf("tempo"));
  SegmentEncoder fresh({7, 1}, clock_.Now());
  EXPECT_THAT(Take(**live, Say(fresh, Verdict::kCrit)), IsOk());
  auto backlog = Open(HelloOf("tempo", v1::Hello::LANE_BACKLOG));
  for (const v1::Records& records : late) EXPECT_THAT(Take(**backlog, records), IsOk());
  EXPECT_THAT(Changes(), ::testing::ElementsAre("tempo/disk ok>warn 10", "tempo/disk warn>ok 30"));
}

TEST_F(IngestJournalTest, HostileSequencesEndTheStreamWithAReason) {
  const auto refuse = [&](v1::Records records, const char* reason) {
    auto stream = Open(HelloOf("hostile"));
    EXPECT_THAT(Take(**stream, records),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(reason)));
  };
  SegmentEncoder encoder({7, 0}, clock_.Now());
  const v1::Records whole = Records(encoder);
  v1::Records records = whole;
  records.set_first_index(uint64_t{1} << 63);
  refuse(records, "expected 0");
  records = whole;
  records.set_segment(5);
  refuse(records, "another segment's");
  records = whole;
  records.set_epoch(5);
  refuse(records, "another segment's");
  records = whole;
  records.mutable_data()->back() = static_cast<char>(records.data().back() ^ 1);
  refuse(records, "damaged");
  // A segment again from its start with other contents is a repeat, and the first stays.
  {
    auto stream = Open(HelloOf("hostile"));
    EXPECT_THAT(Take(**stream, whole), IsOk());
  }
  Settle();
  SegmentEncoder other({7, 0}, clock_.Now() + absl::Hours(1));
  auto stream = Open(HelloOf("hostile"));
  EXPECT_THAT(Take(**stream, Say(other, Verdict::kCrit)), IsOk());
  Settle();
  EXPECT_THAT(journal_->Read("hostile", {7, 0}), test::IsOkAnd(whole.data()));
  EXPECT_EQ(state_.Snapshot("hostile").hosts[0].checks[0].status->verdict, Verdict::kOk);
}

}  // namespace
}  // namespace fleet::collector
