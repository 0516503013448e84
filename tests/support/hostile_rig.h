#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/client_credentials.h"
#include "common/segment/encoder.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/segment_files.h"
#include "tests/support/test_agent.h"
#include "tests/support/test_ca.h"

/// A real collector, a host that wants to do harm, and what must go on as if nothing was.
namespace fleet::test {

/// What one hostile host may make of the collector, all in all: decoders of its two streams, its
/// share of the state and of what waits for the disk, and bytes that gRPC holds for it.
#ifdef __SANITIZE_ADDRESS__
inline constexpr double kMemoryMax = 1.5e9;  // freed memory is kept for a while
#else
inline constexpr double kMemoryMax = 384e6;
#endif
/// Of what the state keeps alone; what was sent is several times as much.
inline constexpr double kStateMemoryMax = kMemoryMax / 3;
/// The honest host must not wait longer for an ack, nor a scrape for its answer, whatever else goes
/// on, on a machine that runs other tests besides.
#ifdef __SANITIZE_ADDRESS__
inline constexpr absl::Duration kAckMax = absl::Seconds(10);
inline constexpr absl::Duration kScrapeMax = absl::Seconds(10);
#else
inline constexpr absl::Duration kAckMax = absl::Seconds(3);
inline constexpr absl::Duration kScrapeMax = absl::Seconds(3);
#endif

/// Reports without a pause, each after the ack of the one before.
class HonestHost {
 public:
  HonestHost(uint16_t port, const TlsIdentity& tls)
      : agent_({.port = port, .host = "honest", .tls = tls, .deadline = absl::Minutes(10)}) {
    connected_ = agent_.Connect();
    if (connected_.ok()) thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }
  const absl::Status& connected() const { return connected_; }
  int acked() const { return acked_; }
  /// Ends it. Returns why it ended before, if it did.
  absl::Status Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return end_;
  }
  absl::Duration slowest() const { return slowest_; }

 private:
  void Run(const std::stop_token& stop) {
    for (int i = 1; !stop.stop_requested(); ++i) {
      const absl::Time start = absl::Now();
      end_ = agent_.Send(MakeReport("disk", i));
      if (!end_.ok()) return;
      slowest_ = std::max(slowest_, absl::Now() - start);
      acked_ = i;
    }
  }

  TestAgent agent_;
  absl::Status connected_;
  std::atomic<int> acked_ = 0;
  absl::Status end_;        // after Stop
  absl::Duration slowest_;  // after Stop
  std::jthread thread_;
};

/// Asks for /metrics ten times a second.
class Scraper {
 public:
  explicit Scraper(std::string url)
      : url_(std::move(url)), thread_([this](const std::stop_token& stop) { Run(stop); }) {}
  /// Ends it. Returns the longest that an answer took.
  absl::Duration Stop() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    return slowest_;
  }

 private:
  void Run(const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any pause;
    while (!stop.stop_requested()) {
      const absl::Time start = absl::Now();
      EXPECT_EQ(HttpGet(url_).code, 200);
      slowest_ = std::max(slowest_, absl::Now() - start);
      std::unique_lock lock(mutex);
      pause.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
    }
  }

  const std::string url_;
  absl::Duration slowest_;  // after Stop
  std::jthread thread_;
};

/// `reports` as one message of a segment that begins with it.
inline v1::AgentMessage Pack(SegmentId id, const std::vector<Report>& reports) {
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
inline bool Taken(const absl::Status& status) {
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
    EXPECT_THAT(metrics, ::testing::HasSubstr(absl::StrCat(kHonestSeries, honest_->acked(), "\n")));
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
  /// Posts a file of this directory to a method as one gRPC message, by hand.
  Output Post(const std::string& file, const std::string& method,
              const std::vector<std::string>& more) {
    std::vector<std::string> argv = {"curl", "-sS", "-k", "-m", "60", "--http2"};
    argv.insert(argv.end(), {"--cert", dir_ / "evil.pem", "--key", dir_ / "evil-key.pem"});
    argv.insert(argv.end(), {"-H", "content-type: application/grpc", "-H", "te: trailers"});
    argv.insert(argv.end(), {"--data-binary", absl::StrCat("@", dir_ / file)});
    argv.insert(argv.end(), more.begin(), more.end());
    argv.push_back(
        absl::StrCat("https://localhost:", collector_->grpc_port(), "/fleet.v1.", method));
    return RunProgram(argv, absl::Seconds(90));
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

}  // namespace fleet::test
