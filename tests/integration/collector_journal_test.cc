// The collector with a data_dir: over real gRPC, on a real disk, through restarts.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "collector/collector.h"
#include "collector/journal/journal.h"
#include "fleet/v1/fleet.grpc.pb.h"
#include "fleet/v1/history.grpc.pb.h"
#include "fleet/v1/trust.grpc.pb.h"
#include "tests/support/journal_agent.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_agent.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::fleet::test::TestAgent;
using ::fleet::test::WaitFor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CollectorJournalTest : public ::testing::Test {
 protected:
  void Start() {
    collector_.reset();
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.data_dir = dir_ / "data";
    options.journal.group_interval = absl::Milliseconds(20);
    auto started = Collector::Start(std::move(options), Clock::Real());
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }
  template <typename Service>
  std::unique_ptr<typename Service::Stub> Stub() const {
    return Service::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", collector_->grpc_address().port),
                            grpc::InsecureChannelCredentials()));
  }
  uint16_t grpc() const { return collector_->grpc_address().port; }
  v1::StatusReply Status() const {
    const auto stub = Stub<v1::Fleet>();
    grpc::ClientContext context;
    const auto reader = stub->Status(&context, {});
    v1::StatusReply reply;
    EXPECT_TRUE(reader->Read(&reply));
    context.TryCancel();
    reader->Finish();
    return reply;
  }
  v1::SeriesReply Series(const std::string& host, const std::string& metric) const {
    const auto stub = Stub<v1::History>();
    grpc::ClientContext context;
    v1::SeriesRequest request;
    request.set_host(host);
    request.set_metric(metric);
    request.mutable_since()->set_ago_seconds(3600);
    request.set_buckets(3600);
    v1::SeriesReply reply;
    const grpc::Status status = stub->Series(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }

  test::TempDir dir_;
  std::unique_ptr<Collector> collector_;
};

TEST_F(CollectorJournalTest, WhatWasAckedIsThereAfterARestart) {
  Start();
  {
    TestAgent agent({.port = grpc(), .host = "tempo"});
    ASSERT_THAT(agent.Connect(), IsOk());
    ASSERT_THAT(agent.Send(MakeReport("raid", 1)), IsOk());
    ASSERT_THAT(agent.Send(MakeReport("raid", 2, Verdict::kCrit, "degraded")), IsOk());
    EXPECT_EQ(agent.last_ack().next_index(), 2u);
  }
  Start();
  // Known at once, with what it said last, before its agent is back.
  const v1::StatusReply status = Status();
  ASSERT_EQ(status.hosts_size(), 1);
  EXPECT_EQ(status.hosts(0).name(), "tempo");
  ASSERT_EQ(status.hosts(0).checks_size(), 1);
  EXPECT_THAT(status.hosts(0).checks(0).reason(), HasSubstr("degraded"));
  EXPECT_LT(status.hosts(0).age_seconds(), 60);

  const v1::SeriesReply series = Series("tempo", "fleet_example_value");
  ASSERT_EQ(series.series_size(), 1);
  EXPECT_EQ(series.series(0).max(), 2);

  grpc::ClientContext events_context;
  v1::EventsRequest events_request;
  events_request.mutable_since()->set_ago_seconds(3600);
  v1::EventsReply events;
  ASSERT_TRUE(Stub<v1::History>()->Events(&events_context, events_request, &events).ok());
  ASSERT_EQ(events.events_size(), 2);
  EXPECT_EQ(events.events(0).subject(), "raid");
  EXPECT_EQ(events.events(0).from(), "ok");
  EXPECT_EQ(events.events(0).to(), "crit");

  grpc::ClientContext at_context;
  v1::StatusAtRequest at;
  at.mutable_at()->set_ago_seconds(0);
  v1::StatusReply then;
  ASSERT_TRUE(Stub<v1::History>()->StatusAt(&at_context, at, &then).ok());
  EXPECT_EQ(then.verdict(), v1::VERDICT_CRIT);
  EXPECT_THAT(test::HttpGet(collector_->http_address().port, "/metrics/self").body,
              HasSubstr("fleet_collector_journal_files{part=\"hosts\"} 1\n"));
}

TEST_F(CollectorJournalTest, ARestartMakesNoCheckOfWhatAVantageSaw) {
  Start();
  {
    TestAgent agent({.port = grpc(), .host = "tempo"});
    ASSERT_THAT(agent.Connect(), IsOk());
    ASSERT_THAT(agent.Send(MakeReport("raid", 1)), IsOk());
    ASSERT_THAT(agent.Send(MakeReport("probe.1kae", 0, Verdict::kCrit, "refused")), IsOk());
    EXPECT_EQ(agent.last_ack().next_index(), 2u);
  }
  Start();
  const v1::StatusReply status = Status();
  ASSERT_EQ(status.hosts_size(), 1);
  EXPECT_EQ(status.verdict(), v1::VERDICT_OK);
  ASSERT_EQ(status.hosts(0).checks_size(), 1);
  EXPECT_EQ(status.hosts(0).checks(0).name(), "raid");
}

TEST_F(CollectorJournalTest, ARetiredHostIsOfThePastOnly) {
  Start();
  for (const char* host : {"tempo", "parasect"}) {
    TestAgent agent({.port = grpc(), .host = host});
    ASSERT_THAT(agent.Connect(), IsOk());
    ASSERT_THAT(agent.Send(MakeReport("raid", 1)), IsOk());
  }
  const auto hosts_at = [this](absl::Time time) {
    grpc::ClientContext context;
    v1::StatusAtRequest at;
    at.mutable_at()->set_unix_seconds(absl::ToDoubleSeconds(time - absl::UnixEpoch()));
    v1::StatusReply reply;
    EXPECT_TRUE(Stub<v1::History>()->StatusAt(&context, at, &reply).ok());
    std::vector<std::string> names;
    for (const v1::HostStatus& host : reply.hosts()) names.push_back(host.name());
    return names;
  };
  ASSERT_TRUE(WaitFor([&] { return hosts_at(absl::Now()).size() == 2; }));
  const absl::Time before = absl::Now();
  grpc::ClientContext context;
  v1::RetireRequest retire;
  retire.set_host("parasect");
  v1::RetireReply retired;
  ASSERT_TRUE(Stub<v1::Trust>()->Retire(&context, retire, &retired).ok());
  EXPECT_THAT(hosts_at(absl::Now()), ElementsAre("tempo"));
  EXPECT_THAT(hosts_at(before), ElementsAre("parasect", "tempo"));
}

TEST_F(CollectorJournalTest, EveryReportOnceThroughReconnectsAndRestarts) {
  // What the agent's spool holds: everything, and it comes again from the start each time.
  std::vector<v1::AgentMessage> spool;
  std::string bytes;
  TestAgent encoder({.port = 0, .host = "tempo", .epoch = 9});
  for (int i = 0; i < 12; ++i) {
    spool.push_back(encoder.Encode(MakeReport("raid", i)));
    bytes += spool.back().records().data();
  }
  Start();
  for (size_t upto = 3; upto <= spool.size(); upto += 3) {
    const bool live = upto == 3;
    TestAgent agent({.port = grpc(),
                     .host = "tempo",
                     .lane = live ? v1::Hello::LANE_LIVE : v1::Hello::LANE_BACKLOG,
                     .epoch = 9});
    ASSERT_THAT(agent.Connect(), IsOk());
    for (size_t i = 0; i < upto; ++i) {
      // The last goes out without waiting: its ack may be lost with the collector.
      ASSERT_THAT(agent.SendMessage(spool[i], i + 1 < upto), IsOk()) << i;
    }
    if (upto % 2 == 0) {
      collector_->Stop(absl::ZeroDuration());
      Start();
    }
  }
  TestAgent last({.port = grpc(), .host = "tempo", .lane = v1::Hello::LANE_BACKLOG, .epoch = 9});
  ASSERT_THAT(last.Connect(), IsOk());
  for (const v1::AgentMessage& message : spool) ASSERT_THAT(last.SendMessage(message), IsOk());
  EXPECT_EQ(last.last_ack().next_index(), spool.size());
  collector_.reset();

  auto journal = Journal::Open({.dir = dir_ / "data/journal"}, FileSystem::Real(), Clock::Real());
  ASSERT_THAT(journal, IsOk());
  EXPECT_THAT((*journal)->Read("tempo", {9, 0}), test::IsOkAnd(bytes));
}

TEST_F(CollectorJournalTest, WithoutADataDirItSaysThatNothingIsKept) {
  CollectorOptions options;
  options.grpc = {"127.0.0.1", 0};
  options.http = {"127.0.0.1", 0};
  auto started = Collector::Start(std::move(options), Clock::Real());
  ASSERT_THAT(started, IsOk());
  collector_ = *std::move(started);
  grpc::ClientContext context;
  v1::SeriesRequest request;
  v1::SeriesReply reply;
  const grpc::Status status = Stub<v1::History>()->Series(&context, request, &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("data_dir"));
}

TEST_F(CollectorJournalTest, ExportsWhatItKeeps) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("raid", 7)), IsOk());
  std::string text;
  ASSERT_TRUE(WaitFor([&] {
    text.clear();
    grpc::ClientContext context;
    const auto reader = Stub<v1::History>()->Export(&context, {});
    v1::ExportChunk chunk;
    while (reader->Read(&chunk)) text += chunk.text();
    return reader->Finish().ok() && absl::StrContains(text, "fleet_example_value{");
  }));
  EXPECT_TRUE(absl::EndsWith(text, "# EOF\n"));
}

/// A small disk of its own; needs root.
class SmallDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 ||
        ::mount("tmpfs", path().c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0) {
      GTEST_SKIP() << "cannot mount a tmpfs here";
    }
    mounted_ = true;
  }
  void TearDown() override {
    if (mounted_) ::umount2(path().c_str(), MNT_DETACH);
  }
  std::string path() const { return dir_ / ""; }

  test::TempDir dir_;
  bool mounted_ = false;
};

TEST_F(SmallDiskTest, AFullDiskCostsAcksUntilThereIsSpaceAgain) {
  auto opened = Journal::Open({.dir = dir_ / "journal"}, FileSystem::Real(), Clock::Real());
  ASSERT_THAT(opened, IsOk());
  Journal& journal = **opened;
  const auto acks = std::make_shared<test::AckRecorder>();
  test::WriteFile(dir_ / "ballast", std::string(900 << 10, 'b'));
  test::TestSegment segment({7, 0}, absl::Now());
  uint64_t sent = 0;
  const auto send = [&] {
    Report report = MakeReport("raid", static_cast<double>(sent));
    report.reason = absl::StrCat(sent, std::string(3'000, 'x'), sent);  // one that fills the disk
    for (int i = 0; i < 10; ++i) {
      Item item;
      item.name = absl::StrCat(sent, "-", i);
      item.reason = std::string(500, static_cast<char>('a' + i));
      report.items.push_back(std::move(item));
    }
    segment.Add(report);
    EXPECT_THAT(journal.Append(segment.Piece("tempo", sent, sent + 1), acks), IsOk());
    ++sent;
  };
  ASSERT_TRUE(WaitFor([&] {
    if (sent < 60) send();
    return !journal.stats().trouble.empty();
  }));
  EXPECT_THAT(journal.stats().trouble, HasSubstr("No space left"));
  const uint64_t acked = acks->safe({7, 0});
  EXPECT_LT(acked, sent);
  ASSERT_EQ(::unlink((dir_ / "ballast").c_str()), 0);
  EXPECT_TRUE(WaitFor([&] { return acks->safe({7, 0}) == sent; }));
  EXPECT_TRUE(WaitFor([&] { return journal.stats().trouble.empty(); }));
  ASSERT_TRUE(journal.Flush(absl::Seconds(20)));
  EXPECT_THAT(journal.Read("tempo", {7, 0}), test::IsOkAnd(segment.bytes()));
}

}  // namespace
}  // namespace fleet::collector
