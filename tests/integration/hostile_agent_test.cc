// An agent with a good certificate that wants to do harm, and an honest one beside it, at a real
// collector: whatever it sends is limited and counted, the honest host's reports are acknowledged
// and served meanwhile, and the collector's memory stays bounded.
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/client_credentials.h"
#include "common/segment/encoder.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/honest_host.h"
#include "tests/support/matchers.h"
#include "tests/support/segment_files.h"
#include "tests/support/test_agent.h"
#include "tests/support/tsdb_server.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// What one hostile host may make of the collector, all in all: decoders of its two streams, its
/// share of the state and of what waits for the disk, and bytes that gRPC holds for it.
#ifdef __SANITIZE_ADDRESS__
constexpr double kMemoryMax = 1.5e9;  // freed memory is kept for a while
#else
constexpr double kMemoryMax = 384e6;
#endif
/// Of what the state keeps alone; what was sent is several times as much.
constexpr double kStateMemoryMax = kMemoryMax / 3;
/// The honest host must not wait longer for an ack, nor a scrape for its answer, whatever else goes
/// on, on a machine that runs other tests besides.
#ifdef __SANITIZE_ADDRESS__
constexpr absl::Duration kAckMax = absl::Seconds(10);
constexpr absl::Duration kScrapeMax = absl::Seconds(10);
#else
constexpr absl::Duration kAckMax = absl::Seconds(3);
constexpr absl::Duration kScrapeMax = absl::Seconds(3);
#endif

/// `reports` as one message of a segment that begins with it.
v1::AgentMessage Pack(SegmentId id, const std::vector<Report>& reports) {
  SegmentEncoder encoder(id, absl::Now());
  v1::AgentMessage message;
  v1::Records& records = *message.mutable_records();
  records.set_epoch(id.epoch);
  records.set_segment(id.number);
  for (const Report& report : reports) {
    EXPECT_THAT(encoder.Append(report, *records.mutable_data()), IsOk());
  }
  return message;
}

/// Whether a stream went well. One that sends more at once than may wait for the disk of one host
/// is told to come again, which is a limit too; gRPC's blocking Write, unlike our agent, may sleep
/// over that until its deadline.
bool Taken(const absl::Status& status) {
  const bool taken = status.ok() || absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
  if (!taken) ADD_FAILURE() << status;
  return taken;
}

class HostileAgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const TlsIdentity own = ca_.Issue(Role::kCollector, "collector");
    const TlsIdentity evil = ca_.Issue(Role::kAgent, "evil");
    WriteFile(dir_ / "ca.pem", own.ca);
    WriteSecret("cert.pem", own.cert);
    WriteSecret("key.pem", own.key);
    WriteSecret("evil.pem", evil.cert);
    WriteSecret("evil-key.pem", evil.key);
    evil_ = evil;
    collector_ = std::make_unique<CollectorProcess>(
        dir_, absl::StrCat("data_dir: ", dir_ / "data", "\ntls: {ca: ", dir_ / "ca.pem",
                           ", cert: ", dir_ / "cert.pem", ", key: ", dir_ / "key.pem",
                           "}\nlimits: {handshakes_per_second: 1000}\n", More()));
    honest_ =
        std::make_unique<HonestHost>(collector_->grpc_port(), ca_.Issue(Role::kAgent, "honest"));
    ASSERT_THAT(honest_->connected(), IsOk());
    ASSERT_TRUE(WaitFor([this] { return honest_->acked() > 1; }));
    scraper_ = std::make_unique<Scraper>(collector_->url("/metrics"));
    before_ = collector_->PeakBytes();
  }

  /// More of the collector's configuration.
  virtual std::string More() { return ""; }

  void TearDown() override {
    // It goes on, and what it says is served as it says it.
    const int acked = honest_->acked();
    EXPECT_TRUE(WaitFor([&] { return honest_->acked() >= acked + 3; })) << collector_->log();
    EXPECT_THAT(honest_->Stop(), IsOk());
    EXPECT_LT(honest_->slowest(), kAckMax);
    const absl::Duration slowest_scrape = scraper_->Stop();
    EXPECT_LT(slowest_scrape, kScrapeMax);
    const std::string metrics = HttpGet(collector_->url("/metrics")).body;
    EXPECT_THAT(metrics, HasSubstr(absl::StrCat(kHonestSeries, honest_->acked(), "\n")));
    const double growth = collector_->PeakBytes() - before_;
    std::printf(
        "memory: %.0f MB before, at most %.0f MB more; slowest ack of the honest host %s, "
        "slowest scrape %s\n",
        before_ / 1e6, growth / 1e6, absl::FormatDuration(honest_->slowest()).c_str(),
        absl::FormatDuration(slowest_scrape).c_str());
    EXPECT_LT(growth, memory_max_);
    EXPECT_TRUE(collector_->process().Running());
    EXPECT_TRUE(WaitFor([this] { return KeptOfHonest() >= HonestReports(); }));
    EXPECT_EQ(KeptOfHonest(), HonestReports());
  }

  /// Every report of the honest host that was acked, once; and how many the journal has.
  uint64_t HonestReports() const { return static_cast<uint64_t>(honest_->acked()); }
  uint64_t KeptOfHonest() const {
    uint64_t reports = 0;
    for (const SegmentFile& file : FindSegmentFiles(dir_ / "data/journal/hosts/honest")) {
      EXPECT_EQ(file.damage, "") << file.path;
      reports += file.reports;
    }
    return reports;
  }

  void WriteSecret(const std::string& name, const std::string& text) {
    WriteFile(dir_ / name, text);
    ASSERT_EQ(::chmod((dir_ / name).c_str(), 0600), 0);
  }
  TestAgent::Options Evil(uint64_t epoch = 1, v1::Hello::Lane lane = v1::Hello::LANE_LIVE) {
    return {.port = collector_->grpc_port(),
            .host = "evil",
            .lane = lane,
            .epoch = epoch,
            .tls = evil_,
            .deadline = absl::Seconds(20)};
  }
  std::shared_ptr<grpc::Channel> Channel() {
    const auto credentials =
        CollectorCredentials({evil_.ca, "", evil_.cert, evil_.key}, Clock::Real());
    EXPECT_THAT(credentials, IsOk());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(absl::StrCat("localhost:", collector_->grpc_port()),
                                     *credentials, arguments);
  }
  double Rejected(absl::string_view reason) {
    return collector_->SelfMetric(
        absl::StrCat("fleet_collector_rejected_total{reason=\"", reason, "\"}"));
  }
  std::string Metrics() { return HttpGet(collector_->url("/metrics")).body; }
  /// The value of fleet_host_NAME{…} of the hostile host.
  double OfEvil(absl::string_view name, absl::string_view more = "") {
    return MetricIn(Metrics(), absl::StrCat("fleet_host_", name, "{", more,
                                            "instance=\"evil\",job=\"fleet\",host=\"evil\"}"));
  }

  static constexpr char kHonestSeries[] =
      "fleet_example_value{check=\"disk\",instance=\"honest\",job=\"fleet\",host=\"honest\"} ";
  const TempDir dir_;
  const TestCa ca_;
  TlsIdentity evil_;
  std::unique_ptr<CollectorProcess> collector_;
  std::unique_ptr<HonestHost> honest_;
  std::unique_ptr<Scraper> scraper_;
  double before_ = 0;
  double memory_max_ = kMemoryMax;  // that it may have more than before
};

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
  const Output output = RunProgram(
      {"curl", "-sS", "-m", "60", "--http2", "--cacert", dir_ / "ca.pem", "--cert",
       dir_ / "evil.pem", "--key", dir_ / "evil-key.pem", "-H", "content-type: application/grpc",
       "-H", "te: trailers", "--data-binary", absl::StrCat("@", dir_ / "claim"), "-k",
       absl::StrCat("https://localhost:", collector_->grpc_port(), "/fleet.v1.Ingest/Upload")},
      absl::Seconds(90));
  EXPECT_NE(output.exit_code, 0) << output.text;
  EXPECT_GE(collector_->SelfMetric("fleet_collector_connections_shut_total{reason=\"unread\"}"), 1);
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
