// An agent with a good certificate that wants to do harm, and an honest one beside it, at a real
// collector: whatever it sends is limited and counted, the honest host's reports are acknowledged
// and served meanwhile, and the collector's memory stays bounded.
#include <grpcpp/grpcpp.h>

#include <cmath>
#include <limits>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/segment/encoder.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "tests/support/hostile_rig.h"
#include "tests/support/matchers.h"
#include "tests/support/tsdb_server.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// ---- too much -------------------------------------------------------------------------------

TEST_F(HostileAgentTest, LabelsWithoutEndAreNotServed) {
  memory_max_ = kStateMemoryMax;
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  const Layout::Family family{"evil_value", MetricType::kGauge, "x"};
  Report huge = MakeReport("huge", 1);
  huge.samples.AddRaw(family, absl::StrCat("l=\"", std::string(1 << 20, 'x'), "\""), 1);
  EXPECT_THAT(evil.Send(huge), IsOk());
  Report many = MakeReport("many", 1);
  std::string labels = "a=\"1\"";
  for (int i = 0; i < 20'000; ++i) absl::StrAppend(&labels, ",l", i, "=\"1\"");
  many.samples.AddRaw(family, labels, 1);
  EXPECT_THAT(evil.Send(many), IsOk());
  EXPECT_GE(OfEvil("refused_series", "reason=\"limit\",") +
                OfEvil("refused_series", "reason=\"invalid\","),
            2);
  EXPECT_THAT(Metrics(), Not(HasSubstr("evil_value{")));
  // Many checks, each with all the labels that one may have.
  for (uint64_t epoch = 2; epoch < 42; ++epoch) {
    TestAgent again(Evil(epoch));
    ASSERT_THAT(again.Connect(), IsOk());
    for (int check = 0; check < 3; ++check) {
      Report report = MakeReport(absl::StrCat("c", epoch, "-", check), 1);
      for (int i = 0; i < 256; ++i) {
        report.samples.AddRaw(family,
                              absl::StrCat("i=\"", epoch, ".", check, ".", i, "\",l=\"",
                                           std::string(7'500, 'x'), "\""),
                              i);
      }
      ASSERT_TRUE(Taken(again.SendMessage(again.Encode(report), false)));
    }
    ASSERT_TRUE(Taken(again.Finish()));
  }
  EXPECT_GT(OfEvil("refused_series", "reason=\"limit\","), 10'000);
  EXPECT_LT(Metrics().size(), 24u << 20);
}

TEST_F(HostileAgentTest, AMillionSeriesAreCutToTheLimit) {
  memory_max_ = kStateMemoryMax;
  constexpr int kSeries = 19'990;  // and those of every test report
  const Layout::Family family{"evil_value", MetricType::kGauge, "x"};
  int sent = 0;
  for (uint64_t epoch = 1; sent < 1'000'000; ++epoch) {
    TestAgent evil(Evil(epoch));
    ASSERT_THAT(evil.Connect(), IsOk());
    for (int check = 0; check < 4; ++check, sent += kSeries) {
      Report report = MakeReport(absl::StrCat("c", epoch, "-", check), 1);
      for (int i = 0; i < kSeries; ++i) {
        report.samples.AddRaw(family, absl::StrCat("i=\"", sent + i, "\""), i);
      }
      ASSERT_TRUE(Taken(evil.SendMessage(evil.Encode(report), false)));
    }
    ASSERT_TRUE(Taken(evil.Finish()));
  }
  EXPECT_LE(OfEvil("series"), 20'000);
  EXPECT_GT(OfEvil("refused_series", "reason=\"limit\","), 900'000);
}

TEST_F(HostileAgentTest, ItemsAndWordsWithoutEndAreNotShown) {
  memory_max_ = kStateMemoryMax;
  for (uint64_t epoch = 1; epoch < 16; ++epoch) {
    const v1::Hello::Lane lane = epoch % 2 == 0 ? v1::Hello::LANE_LIVE : v1::Hello::LANE_BACKLOG;
    TestAgent evil(Evil(epoch, lane));
    ASSERT_THAT(evil.Connect(), IsOk());
    for (int check = 0; check < 4; ++check) {
      Report report = MakeReport(absl::StrCat("c", epoch, "-", check), 1, Verdict::kCrit,
                                 std::string(4'000, 'r'));
      for (const Verdict verdict : {Verdict::kCrit, Verdict::kOk}) {
        report.items.clear();
        for (int i = 0; i < 4'000; ++i) {
          report.items.push_back({absl::StrCat("item ", i, std::string(300, 'n')), verdict,
                                  UnknownKind::kNone, std::string(100, 'r'), ""});
        }
        ASSERT_TRUE(Taken(evil.SendMessage(evil.Encode(report), false)));
      }
    }
    ASSERT_TRUE(Taken(evil.Finish()));
  }
  EXPECT_GT(OfEvil("refused_items"), 20'000);
  EXPECT_GT(collector_->SelfMetric("fleet_collector_events_suppressed_total"), 0);
  EXPECT_LT(Metrics().size(), 24u << 20);
}

TEST_F(HostileAgentTest, MessagesWithoutEndEndTheirConnection) {
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  v1::AgentMessage message;
  message.mutable_records()->set_data(std::string(5 << 20, 'x'));
  EXPECT_THAT(evil.SendMessage(message), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(WaitFor([&] {
    return collector_->SelfMetric("fleet_collector_streams_closed_total{code=\"CANCELLED\"}") > 0;
  })) << HttpGet(collector_->url("/metrics/self")).body
      << collector_->log();
  // gRPC's own frame says that 4 GiB follow, and half a gigabyte of them does.
  std::string claim("\0\xff\xff\xff\xff", 5);
  claim.resize(512 << 20);
  WriteFile(dir_ / "claim", claim);
  const Output output = Post("claim", "Ingest/Upload", {});
  EXPECT_NE(output.exit_code, 0) << output.text;
  EXPECT_GE(collector_->SelfMetric("fleet_collector_connections_shut_total{reason=\"unread\"}"), 1);
}

TEST_F(HostileAgentTest, NothingIsInflatedForAnybody) {
  memory_max_ = kStateMemoryMax;
  ASSERT_EQ(Shell(absl::StrCat("head -c 512M /dev/zero | gzip -1 > ", dir_ / "zeros")).exit_code, 0);
  const std::string zeros = ReadFile(dir_ / "zeros");
  std::string frame("\1\0\0\0\0", 5);
  for (size_t i = 0; i < 4; ++i) frame[i + 1] = static_cast<char>(zeros.size() >> (24 - 8 * i));
  WriteFile(dir_ / "bomb", frame + zeros);
  for (const char* method : {"Ingest/Upload", "Trust/Join", "Fleet/Status"}) {
    const Output output = Post("bomb", method, {"-H", "grpc-encoding: gzip", "-D", "-"});
    EXPECT_NE(output.text, "") << method;  // an answer, or the stream's end while it still sends
    EXPECT_THAT(output.text, Not(HasSubstr("grpc-status: 0"))) << method;
  }
}

// ---- nonsense -------------------------------------------------------------------------------

TEST_F(HostileAgentTest, GarbageEndsItsStream) {
  std::mt19937_64 random(1);
  const double before = Rejected("records");
  int sent = 0;
  const auto expect_end = [&](uint64_t epoch, const v1::AgentMessage& message) {
    TestAgent evil(Evil(epoch));
    ASSERT_THAT(evil.Connect(), IsOk());
    EXPECT_FALSE(evil.SendMessage(message).ok());
    ++sent;
  };
  const v1::AgentMessage good = Pack({1, 0}, {MakeReport("disk", 1), MakeReport("load", 2)});
  const std::string& bytes = good.records().data();
  v1::AgentMessage message = good;
  // A record that claims 4 GiB, behind a good header.
  *message.mutable_records()->mutable_data() =
      absl::StrCat(bytes.substr(0, kSegmentHeaderBytes), "\xff\xff\xff\xff\x0f", "rest");
  expect_end(1, message);
  for (uint64_t i = 0; i < 20; ++i) {
    message = good;
    std::string& data = *message.mutable_records()->mutable_data();
    if (i % 2 == 0) {
      data.resize(1 + random() % (bytes.size() - 1));  // truncated
    } else {
      for (char& byte : data) byte = static_cast<char>(random());
    }
    expect_end(1, message);
  }
  EXPECT_EQ(Rejected("records"), before + sent);
}

TEST_F(HostileAgentTest, IndexesThatGoBackOrAheadAreRefused) {
  const v1::AgentMessage first = Pack({1, 0}, {MakeReport("disk", 1), MakeReport("disk", 2)});
  {
    TestAgent evil(Evil());
    ASSERT_THAT(evil.Connect(), IsOk());
    EXPECT_THAT(evil.SendMessage(first), IsOk());
    // The same once more in the same stream goes back.
    EXPECT_FALSE(evil.SendMessage(first).ok());
  }
  for (const uint64_t index : {uint64_t{3}, uint64_t{1'000'000}, UINT64_MAX}) {
    TestAgent evil(Evil());
    ASSERT_THAT(evil.Connect(), IsOk());
    v1::AgentMessage ahead = first;
    ahead.mutable_records()->set_first_index(index);
    EXPECT_FALSE(evil.SendMessage(ahead).ok());
  }
  EXPECT_GE(Rejected("records"), 4);
  // A new stream may repeat, and it is known as a repeat.
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  EXPECT_THAT(evil.SendMessage(first), IsOk());
  EXPECT_GE(collector_->SelfMetric("fleet_collector_journal_repeated_reports_total"), 2);
}

TEST_F(HostileAgentTest, NobodySpeaksForAnotherHost) {
  TestAgent::Options options = Evil();
  options.host = "honest";
  EXPECT_THAT(TestAgent(options).Connect(), HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(Rejected("wrong_host"), 1);
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  Report report = MakeReport("disk", -1);
  report.samples.AddRaw({"fleet_example_value", MetricType::kGauge, "x"},
                        "check=\"disk\",instance=\"honest\",job=\"fleet\",host=\"honest\"", -666);
  // Names that are the collector's own, and a type that is not the family's.
  report.samples.AddRaw({"fleet_host_up", MetricType::kGauge, "x"}, "host=\"honest\"", 0);
  report.samples.AddRaw({"node_load1", MetricType::kCounter, "x"}, "", 1);
  EXPECT_THAT(evil.Send(report), IsOk());
  const std::string metrics = Metrics();
  EXPECT_THAT(metrics, HasSubstr("exported_instance=\"honest\""));
  EXPECT_THAT(metrics, Not(HasSubstr(absl::StrCat(kHonestSeries, "-666"))));
  EXPECT_THAT(metrics,
              HasSubstr("fleet_host_up{instance=\"honest\",job=\"fleet\",host=\"honest\"} 1"));
  EXPECT_EQ(OfEvil("refused_series", "reason=\"reserved\","), 1);
  EXPECT_EQ(OfEvil("refused_series", "reason=\"conflict\","), 1);
}

TEST_F(HostileAgentTest, TimesWithoutSenseHarmNobody) {
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  uint64_t segment = 0;
  for (const absl::Time start :
       {absl::FromUnixSeconds(253'000'000'000), absl::FromUnixSeconds(-62'000'000'000),
        absl::Now() + absl::Hours(24 * 365), absl::UnixEpoch()}) {
    for (const double sent :
         {1e300, -1e300, std::nan(""), 4e9, 0.0, std::numeric_limits<double>::infinity()}) {
      Report report = MakeReport("disk", 1);
      report.start = start;
      report.interval = absl::Hours(1'000'000);
      report.duration = -absl::Hours(1'000'000);
      v1::AgentMessage message = Pack({2, segment++}, {report});
      message.mutable_records()->set_sent_timestamp_seconds(sent);
      message.mutable_records()->set_segment_age_seconds(sent);
      message.mutable_records()->set_spool_oldest_seconds(sent);
      message.mutable_records()->set_last(true);
      EXPECT_THAT(evil.SendMessage(message), IsOk()) << start << " sent at " << sent;
    }
  }
  EXPECT_NE(OfEvil("clock_skew_seconds"), 0);
}

// ---- too often ------------------------------------------------------------------------------

TEST_F(HostileAgentTest, ThousandsOfEpochsAreMoreThanOneHostHas) {
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  absl::Status status;
  for (uint64_t epoch = 1; epoch <= 5'000 && status.ok(); ++epoch) {
    // Never finished, so that all of them stay open.
    status = evil.SendMessage(Pack({epoch, epoch}, {MakeReport("disk", 1)}), false);
  }
  EXPECT_FALSE(evil.WaitForEnd().ok());
  EXPECT_TRUE(WaitFor([&] { return Rejected("sequence") > 0; }));
}

TEST_F(HostileAgentTest, MoreReportsThanTheRateAreKeptButNotServed) {
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  const std::vector<Report> burst(5'000, MakeReport("disk", 1));
  EXPECT_THAT(evil.SendMessage(Pack({1, 0}, burst), false), IsOk());
  EXPECT_TRUE(WaitFor([&] { return OfEvil("refused_reports_total") > 3'000; }));
  EXPECT_EQ(Rejected("sequence"), 0);
}

TEST_F(HostileAgentTest, StreamsThatComeAndGoAreSlowedDown) {
  const auto stub = v1::Ingest::NewStub(Channel());
  int refused = 0;
  for (int i = 0; i < 2'000; ++i) {
    grpc::ClientContext context;
    const auto stream = stub->Upload(&context);
    v1::AgentMessage message;
    message.mutable_hello()->set_epoch(1);
    stream->Write(message);
    stream->WritesDone();
    v1::CollectorMessage reply;
    while (stream->Read(&reply)) {
    }
    if (stream->Finish().error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) ++refused;
  }
  EXPECT_GT(refused, 1'000);
  EXPECT_GE(Rejected("streams"), refused);
}

TEST_F(HostileAgentTest, StreamsThatStayOpenAreFew) {
  const auto stub = v1::Ingest::NewStub(Channel());
  struct Open {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::AgentMessage, v1::CollectorMessage>> stream;
  };
  std::vector<std::unique_ptr<Open>> open;
  for (int i = 0; i < 50; ++i) {
    open.push_back(std::make_unique<Open>());
    open.back()->stream = stub->Upload(&open.back()->context);
    v1::AgentMessage silence;  // neither hello nor records
    if (i % 2 == 0) open.back()->stream->Write(silence);
  }
  EXPECT_TRUE(WaitFor([&] { return Rejected("streams") + Rejected("hello") >= 42; }));
  for (const auto& one : open) one->context.TryCancel();
  for (const auto& one : open) one->stream->Finish();
}

// ---- what is yet to come ----------------------------------------------------------------------

class HostileTimesTest : public HostileAgentTest {
 protected:
  void SetUp() override {
    if (!TsdbServer::Installed(TsdbServer::Kind::kPrometheus)) GTEST_SKIP() << "no prometheus";
    ASSERT_TRUE(tsdb_.Start()) << tsdb_.log();
    HostileAgentTest::SetUp();
  }
  void TearDown() override {
    if (!IsSkipped()) HostileAgentTest::TearDown();
  }
  std::string More() override {
    return absl::StrCat("remote_write: [\"", tsdb_.write_url(), "\"]\n");
  }

  TsdbServer tsdb_{TsdbServer::Kind::kPrometheus};
};

TEST_F(HostileTimesTest, NothingOfNextYearReachesATsdb) {
  const auto newest_of_honest = [this] {
    return tsdb_.Query("timestamp(fleet_example_value{instance=\"honest\"})", absl::Now())
        .value_or(0);
  };
  ASSERT_TRUE(WaitFor([&] { return newest_of_honest() > 0; }, absl::Seconds(40)));
  TestAgent evil(Evil());
  ASSERT_THAT(evil.Connect(), IsOk());
  Report late = MakeReport("disk", 1);
  late.start += absl::Hours(24 * 365);
  EXPECT_THAT(evil.SendMessage(Pack({1, 0}, {MakeReport("load", 1), late}), false), IsOk());
  const std::string url = tsdb_.write_url().substr(7);  // without "http://"
  const std::string dropped = absl::StrCat(
      "fleet_collector_remote_write_dropped_samples_total{reason=\"future\",receiver=\"",
      url.substr(0, url.find('/')), "\"}");
  EXPECT_TRUE(WaitFor([&] { return collector_->SelfMetric(dropped) > 0; }, absl::Seconds(40)));
  const double before = newest_of_honest();
  EXPECT_TRUE(WaitFor([&] { return newest_of_honest() > before; }, absl::Seconds(40)));
  for (const absl::Duration ahead : {absl::Hours(1), absl::Hours(24 * 365)}) {
    EXPECT_EQ(tsdb_.Query("count({job=\"fleet\"})", absl::Now() + ahead), std::nullopt);
  }
}

}  // namespace
}  // namespace fleet::test
