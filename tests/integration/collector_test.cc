#include "collector/collector.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "fleet/v1/fleet.grpc.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_agent.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HttpGet;
using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::fleet::test::StatusIs;
using ::fleet::test::TestAgent;
using ::fleet::test::WaitFor;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kOpenMetrics[] =
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

class CollectorTest : public ::testing::Test {
 protected:
  void Start(CollectorOptions options = {}) {
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    auto started = Collector::Start(std::move(options), clock_);
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }
  uint16_t grpc() const { return collector_->grpc_address().port; }
  uint16_t http() const { return collector_->http_address().port; }
  std::string Get(absl::string_view path) const { return HttpGet(http(), path).body; }
  int StatusOf(absl::string_view path) const { return HttpGet(http(), path).status; }
  std::unique_ptr<v1::Fleet::Stub> Fleet() const {
    return v1::Fleet::NewStub(grpc::CreateChannel(absl::StrCat("127.0.0.1:", grpc()),
                                                  grpc::InsecureChannelCredentials()));
  }

  test::FakeClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  std::unique_ptr<Collector> collector_;
};

TEST_F(CollectorTest, ReportsShowInMetrics) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  v1::Welcome welcome;
  ASSERT_THAT(agent.Connect(&welcome), IsOk());
  EXPECT_EQ(welcome.host(), "tempo");
  ASSERT_THAT(agent.Send(MakeReport("disk", 42)), IsOk());
  EXPECT_EQ(agent.last_ack().next_index(), 1);

  const auto text = HttpGet(http(), "/metrics");
  EXPECT_EQ(text.status, 200);
  EXPECT_THAT(text.headers,
              HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(text.body, HasSubstr("# TYPE fleet_host_up gauge\n"));
  EXPECT_THAT(text.body,
              HasSubstr("fleet_host_up{instance=\"tempo\",job=\"fleet\",host=\"tempo\"} 1"));
  EXPECT_THAT(text.body, HasSubstr("fleet_example_value{"));
  EXPECT_THAT(text.body, HasSubstr(R"(odd="a \"b\"\\\n")"));
  EXPECT_EQ(Get("/metrics/host/tempo").find("fleet_example_value") == std::string::npos, false);

  const auto open = HttpGet(http(), "/metrics", {{"Accept", kOpenMetrics}});
  EXPECT_THAT(open.headers,
              HasSubstr("application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"));
  EXPECT_TRUE(absl::EndsWith(open.body, "# EOF\n"));
}

TEST_F(CollectorTest, MetricsComeGzippedWhenAsked) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("disk", 42)), IsOk());
  const auto packed = HttpGet(http(), "/metrics", {{"Accept-Encoding", "gzip"}});
  EXPECT_THAT(packed.headers, HasSubstr("Content-Encoding: gzip\r\n"));
  test::TempDir dir;
  test::WriteFile(dir / "m.gz", packed.body);
  const test::Output plain = test::Shell(absl::StrCat("gzip -dc ", dir / "m.gz"));
  EXPECT_EQ(plain.exit_code, 0);
  EXPECT_THAT(plain.text, HasSubstr("fleet_example_value{"));
  EXPECT_THAT(HttpGet(http(), "/metrics", {{"Accept-Encoding", "gzip;q=0"}}).headers,
              Not(HasSubstr("Content-Encoding")));
}

TEST_F(CollectorTest, ASilentHostLosesItsSeriesButNotItsName) {
  Start();
  {
    TestAgent agent({.port = grpc(), .host = "tempo"});
    ASSERT_THAT(agent.Connect(), IsOk());
    ASSERT_THAT(agent.Send(MakeReport("disk", 42)), IsOk());
  }
  EXPECT_EQ(StatusOf("/metrics/host/tempo"), 200);
  clock_.Advance(absl::Seconds(46));
  EXPECT_EQ(StatusOf("/metrics/host/tempo"), 503);
  EXPECT_EQ(StatusOf("/metrics/host/nobody"), 404);
  const std::string text = Get("/metrics");
  EXPECT_THAT(text, Not(HasSubstr("fleet_example_value")));
  EXPECT_THAT(text, HasSubstr("fleet_host_up{instance=\"tempo\",job=\"fleet\",host=\"tempo\"} 0"));
  EXPECT_THAT(text, HasSubstr("fleet_host_last_seen_timestamp_seconds{"));
  EXPECT_EQ(StatusOf("/health/tempo"), 503);
  EXPECT_EQ(StatusOf("/health/tempo/disk"), 503);
}

TEST_F(CollectorTest, HealthAgreesInStatusAndKeyword) {
  CollectorOptions options;
  options.keys = {"0123456789abcdef"};
  Start(std::move(options));
  EXPECT_EQ(StatusOf("/health"), 503) << "nobody has reported";
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("disk", 1)), IsOk());
  EXPECT_EQ(HttpGet(http(), "/health").body, "fleet-health:*:pass\nverdict ok\n");
  ASSERT_THAT(agent.Send(MakeReport("raid", 1, Verdict::kCrit, "sdb is gone")), IsOk());
  const auto open = HttpGet(http(), "/health/tempo");
  EXPECT_EQ(open.status, 503);
  EXPECT_EQ(open.body, "fleet-health:tempo:fail\nverdict crit\n");
  EXPECT_THAT(open.headers, HasSubstr("Cache-Control: no-store"));
  EXPECT_EQ(HttpGet(http(), "/health/tempo", {}, "HEAD").status, 503);
  const auto keyed = HttpGet(http(), "/health/tempo?api-key=0123456789abcdef");
  EXPECT_THAT(keyed.body, HasSubstr("tempo/raid crit: sdb is gone\n"));
  EXPECT_THAT(Get("/health/tempo?api-key=0123456789abcdeX"), Not(HasSubstr("sdb")));
  EXPECT_EQ(HttpGet(http(), "/health/tempo/disk").body,
            "fleet-health:tempo/disk:pass\nverdict ok\n");
  EXPECT_EQ(StatusOf("/health/tempo/nothing"), 404);
  EXPECT_EQ(StatusOf("/health/nobody"), 404);
  EXPECT_EQ(StatusOf("/health/tempo/disk/data"), 404);
}

TEST_F(CollectorTest, ServiceDiscoveryNamesEveryHost) {
  Start();
  EXPECT_EQ(Get("/sd/hosts"), "[]");
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("disk", 1)), IsOk());
  const auto reply = HttpGet(http(), "/sd/hosts", {{"Host", "collector:1234"}});
  EXPECT_THAT(reply.headers, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(nlohmann::json::parse(reply.body),
            nlohmann::json::parse(R"([{"targets":["collector:1234"],"labels":{
              "__metrics_path__":"/metrics/host/tempo","host":"tempo","instance":"tempo"}}])"));
  EXPECT_THAT(HttpGet(http(), "/sd/hosts", {{"Host", "a\"b c"}}).body,
              HasSubstr(absl::StrCat("127.0.0.1:", http())));
}

TEST_F(CollectorTest, TheIndexShowsVerdictsButNoReasons) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("raid", 1, Verdict::kCrit, "sdb is gone")), IsOk());
  const std::string body = Get("/");
  EXPECT_THAT(body, AllOf(HasSubstr("fleet: crit"), HasSubstr("/health/tempo"),
                          HasSubstr("href=\"/metrics\""), Not(HasSubstr("sdb"))));
}

TEST_F(CollectorTest, CountsItself) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("disk", 1)), IsOk());
  EXPECT_EQ(StatusOf("/metrics"), 200);
  EXPECT_EQ(StatusOf("/nothing"), 404);
  ASSERT_TRUE(
      WaitFor([this] { return Get("/metrics/self").find("code=\"404\"") != std::string::npos; }));
  const std::string text = Get("/metrics/self");
  for (const char* line :
       {"fleet_collector_streams{lane=\"live\"} 1\n",
        "fleet_collector_reports_total{lane=\"live\"} 1\n",
        "fleet_collector_samples_total{lane=\"live\"} 2\n", "process_resident_memory_bytes ",
        "fleet_collector_http_requests_total{code=\"200\",route=\"/metrics\"} 1\n",
        "fleet_collector_http_requests_total{code=\"404\",route=\"other\"} 1\n",
        "fleet_collector_build_info{version="}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(CollectorTest, BadRecordsEndTheirStreamOnly) {
  Start();
  TestAgent good({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(good.Connect(), IsOk());
  TestAgent encoder({.port = grpc(), .host = "x"});
  const v1::AgentMessage whole = encoder.Encode(MakeReport("disk", 1));
  std::vector<std::pair<const char*, v1::AgentMessage>> cases;
  cases.emplace_back("garbage", whole).second.mutable_records()->set_data(std::string(500, 'x'));
  cases.emplace_back("empty data with a wrong index", whole)
      .second.mutable_records()
      ->set_first_index(7);
  cases.emplace_back("another segment's header", whole).second.mutable_records()->set_segment(3);
  cases.emplace_back("a cut record", whole).second.mutable_records()->mutable_data()->pop_back();
  cases.emplace_back("a flipped bit", whole).second.mutable_records()->mutable_data()->back() ^= 1;
  cases.emplace_back("no kind", v1::AgentMessage());
  cases.emplace_back("a second hello", v1::AgentMessage()).second.mutable_hello();
  for (const auto& [name, message] : cases) {
    SCOPED_TRACE(name);
    TestAgent bad({.port = grpc(), .host = "mallory"});
    ASSERT_THAT(bad.Connect(), IsOk());
    EXPECT_THAT(bad.SendMessage(message),
                StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("\n"))));
  }
  EXPECT_THAT(good.Send(MakeReport("disk", 1)), IsOk());
  EXPECT_THAT(Get("/metrics/self"),
              HasSubstr("fleet_collector_rejected_total{reason=\"records\"} 5"));
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("check=\"disk\",host=\"mallory\"")));
}

TEST_F(CollectorTest, RefusesABadStart) {
  Start();
  for (const char* host : {"", "a b", "../x", "\"", "-a", "a\n"}) {
    TestAgent agent({.port = grpc(), .host = host});
    EXPECT_THAT(agent.Connect(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no host name")));
  }
  const auto channel =
      grpc::CreateChannel(absl::StrCat("127.0.0.1:", grpc()), grpc::InsecureChannelCredentials());
  EXPECT_EQ(HttpGet(http(), "/-/ready").status, 200);
}

TEST_F(CollectorTest, AMessageBeyondTheLimitIsRefused) {
  CollectorOptions options;
  options.message_bytes_max = 64 << 10;
  Start(std::move(options));
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  v1::AgentMessage message;
  message.mutable_records()->set_data(std::string(100 << 10, 'x'));
  EXPECT_FALSE(agent.SendMessage(message).ok());
  EXPECT_THAT(Get("/metrics/self"), HasSubstr("fleet_collector_reports_total{lane=\"live\"} 0"));
}

TEST_F(CollectorTest, TheNewerStreamOfAHostWins) {
  Start();
  TestAgent older({.port = grpc(), .host = "tempo", .epoch = 1});
  ASSERT_THAT(older.Connect(), IsOk());
  TestAgent newer({.port = grpc(), .host = "tempo", .epoch = 2});
  ASSERT_THAT(newer.Connect(), IsOk());
  EXPECT_THAT(older.WaitForEnd(),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("a newer stream")));
  EXPECT_THAT(newer.Send(MakeReport("disk", 1)), IsOk());
  TestAgent backlog({.port = grpc(), .host = "tempo", .lane = v1::Hello::LANE_BACKLOG});
  ASSERT_THAT(backlog.Connect(), IsOk());
  EXPECT_THAT(backlog.Send(MakeReport("disk", 99)), IsOk()) << "both lanes live side by side";
  EXPECT_THAT(newer.Send(MakeReport("disk", 2)), IsOk());
  EXPECT_THAT(Get("/metrics"), Not(HasSubstr("} 99\n"))) << "backlog never pretends to be now";
}

TEST_F(CollectorTest, StatusAnswersOnceOrWatches) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("disk", 1)), IsOk());
  const auto fleet = Fleet();
  v1::StatusReply reply;
  {
    grpc::ClientContext context;
    const auto reader = fleet->Status(&context, {});
    ASSERT_TRUE(reader->Read(&reply));
    EXPECT_EQ(reply.hosts_size(), 1);
    EXPECT_FALSE(reader->Read(&reply));
    EXPECT_TRUE(reader->Finish().ok());
  }
  grpc::ClientContext context;
  v1::StatusRequest request;
  request.set_watch(true);
  const auto reader = fleet->Status(&context, request);
  ASSERT_TRUE(reader->Read(&reply));
  EXPECT_EQ(reply.verdict(), v1::VERDICT_OK);
  ASSERT_THAT(agent.Send(MakeReport("raid", 1, Verdict::kCrit, "sdb is gone")), IsOk());
  {
    // Watchers are served by the collector's clock, which is the test's.
    const std::jthread ticker([this](const std::stop_token& stop) {
      WaitFor([&] {
        clock_.Advance(absl::Milliseconds(20));
        return stop.stop_requested();
      });
    });
    do {
      ASSERT_TRUE(reader->Read(&reply));
    } while (reply.verdict() != v1::VERDICT_CRIT);
  }
  EXPECT_TRUE(WaitFor(
      [this] { return Get("/metrics/self").find("status_watchers 1\n") != std::string::npos; }));
  context.TryCancel();
  reader->Finish();
  EXPECT_TRUE(WaitFor(
      [this] { return Get("/metrics/self").find("status_watchers 0\n") != std::string::npos; }));
}

TEST_F(CollectorTest, StatusSaysWhatIsWrongWithARequest) {
  Start();
  v1::StatusRequest request;
  request.set_check("disk");
  v1::StatusReply reply;
  {
    grpc::ClientContext context;
    const auto reader = Fleet()->Status(&context, request);
    EXPECT_FALSE(reader->Read(&reply));
    EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  }
  request.set_host("nobody");
  grpc::ClientContext context;
  const auto reader = Fleet()->Status(&context, request);
  EXPECT_FALSE(reader->Read(&reply));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CollectorTest, HundredsOfStreams) {
  CollectorOptions options;
  options.connections.per_address = 1000;
  options.connections.handshakes_burst = 1000;
  Start(std::move(options));
  std::vector<std::unique_ptr<TestAgent>> agents;
  for (int i = 0; i < 300; ++i) {
    agents.push_back(std::make_unique<TestAgent>(
        TestAgent::Options{.port = grpc(), .host = absl::StrCat("host", i)}));
    ASSERT_THAT(agents.back()->Connect(), IsOk());
  }
  for (auto& agent : agents) ASSERT_THAT(agent->Send(MakeReport("disk", 1)), IsOk());
  EXPECT_THAT(Get("/metrics/self"), HasSubstr("fleet_collector_streams{lane=\"live\"} 300\n"));
  agents.clear();
  EXPECT_TRUE(WaitFor([this] {
    return Get("/metrics/self").find("streams{lane=\"live\"} 0\n") != std::string::npos;
  }));
}

TEST_F(CollectorTest, StoppingEndsStreamsWithAReason) {
  Start();
  TestAgent agent({.port = grpc(), .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  grpc::ClientContext context;
  v1::StatusRequest request;
  request.set_watch(true);
  const auto fleet = Fleet();
  const auto reader = fleet->Status(&context, request);
  v1::StatusReply reply;
  ASSERT_TRUE(reader->Read(&reply));
  const absl::Time start = absl::Now();
  collector_->Stop(absl::Seconds(20));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10)) << "everybody left when told";
  EXPECT_THAT(agent.WaitForEnd(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stopping")));
  while (reader->Read(&reply)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace fleet::collector
