// Hostile clients of the real collector's HTTP port: thousands of slow senders, oversized requests
// and readers that do not read. Its memory stays bounded, scrapes go on, and all of it is counted.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <deque>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/raw_http.h"
#include "tests/support/test_agent.h"

namespace fleet::test {
namespace {

constexpr int kHosts = 40;
constexpr int kSeriesPerHost = 2000;
/// What a Prometheus beside it waits at most, by default.
constexpr absl::Duration kScrapeTimeout = absl::Seconds(10);
/// What all hostile clients together may add to the collector's memory.
#ifdef __SANITIZE_ADDRESS__
constexpr double kGrowthMax = 1e9;  // freed memory is kept for a while
#else
constexpr double kGrowthMax = 48e6;
#endif

class HttpFloodTest : public ::testing::Test {
 protected:
  HttpFloodTest() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    collector_ = std::make_unique<CollectorProcess>(dir_);
  }

  /// A fleet whose /metrics is several megabytes.
  void Fill() {
    const MetricDesc desc{"fleet_test_value", MetricType::kGauge, "A value."};
    for (int host = 0; host < kHosts; ++host) {
      auto& agent = agents_.emplace_back(
          TestAgent::Options{.port = collector_->grpc_port(), .host = absl::StrCat("host", host)});
      ASSERT_THAT(agent.Connect(), IsOk());
      Report report = MakeReport("test", 1);
      report.interval = absl::Hours(1);  // none of them goes stale meanwhile
      for (int i = 0; i < kSeriesPerHost; ++i) {
        report.samples.Add(desc, {{"part", absl::StrCat("part-", i)}}, host + i * 0.37);
      }
      ASSERT_THAT(agent.Send(report), IsOk());
    }
    heard_ = absl::Now();
  }
  /// Hosts that are silent for long are left out of /metrics, and this may take long.
  void KeepAlive() {
    if (absl::Now() - heard_ < absl::Seconds(5)) return;
    for (TestAgent& agent : agents_) ASSERT_THAT(agent.Send(MakeReport("beat", 1)), IsOk());
    heard_ = absl::Now();
  }

  uint16_t port() const { return collector_->http_port(); }
  double ResidentBytes() {
    const std::string status =
        ReadFile(absl::StrCat("/proc/", collector_->process().pid(), "/status"));
    const size_t at = status.find("VmRSS:");
    double kilobytes = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(
        absl::string_view(status).substr(at + 6), absl::ByAnyChar(" \t"), absl::SkipEmpty());
    EXPECT_TRUE(at != std::string::npos && absl::SimpleAtod(words[0], &kilobytes));
    return kilobytes * 1024;
  }
  /// A scrape as Prometheus makes it: whole, and in time. Returns how long it took.
  absl::Duration Scrape() {
    KeepAlive();
    const absl::Time start = absl::Now();
    const HttpReply reply = HttpGet(port(), "/metrics");
    const absl::Duration took = absl::Now() - start;
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(absl::StrContains(reply.body, "host=\"host7\"")) << reply.body.size();
    EXPECT_GT(reply.body.size(), body_bytes_ / 100 * 99) << "cut";
    EXPECT_LT(took, kScrapeTimeout);
    return took;
  }
  double Self(absl::string_view series) {
    const std::string text = HttpGet(port(), "/metrics/self").body;
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      double value = 0;
      if (absl::StartsWith(line, absl::StrCat(series, " ")) &&
          absl::SimpleAtod(line.substr(series.size() + 1), &value)) {
        return value;
      }
    }
    return 0;
  }
  double Shut(absl::string_view reason) {
    return Self(
        absl::StrCat("fleet_collector_http_connections_shut_total{reason=\"", reason, "\"}"));
  }

  /// The largest the collector has been since Watch began.
  void Watch() { before_ = most_ = ResidentBytes(); }
  void Look() { most_ = std::max(most_, ResidentBytes()); }
  void ExpectBounded(absl::string_view what) {
    Look();
    RecordProperty(std::string(what), absl::StrCat((most_ - before_) / 1e6, " MB"));
    std::printf("%s: %.1f MB before, %.1f MB at most\n", std::string(what).c_str(), before_ / 1e6,
                most_ / 1e6);
    EXPECT_LT(most_ - before_, kGrowthMax) << what;
  }

  TempDir dir_;
  std::unique_ptr<CollectorProcess> collector_;
  std::deque<TestAgent> agents_;
  absl::Time heard_;
  size_t body_bytes_ = 0;
  double before_ = 0;
  double most_ = 0;
};

TEST_F(HttpFloodTest, SlowSendersOfHeadersAndBodiesKeepNobodyOut) {
  Fill();
  body_bytes_ = HttpGet(port(), "/metrics").body.size();
  Watch();
  const std::string starts[] = {
      "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ",
      "GET /met",
      "",
      "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n",
      "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
      "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n",
      "POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n",
      "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n",
      "GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX: ",
  };
  std::vector<RawConnection> slow;
  for (int i = 0; i < 3000; ++i) {
    slow.emplace_back(port()).Send(starts[i % std::size(starts)]);
    if (i % 500 == 0) Scrape();
    if (i % 50 == 0) Look();
  }
  for (int round = 0; round < 3; ++round) {
    for (RawConnection& connection : slow) connection.Send("a");
    Scrape();
    Look();
  }
  EXPECT_LE(Self("fleet_collector_http_connections"), 200);
  EXPECT_GE(Shut("limit"), 1500);
  ExpectBounded("3000 slow senders");
}

TEST_F(HttpFloodTest, OversizedRequestsAreRefusedAndCounted) {
  Fill();
  body_bytes_ = HttpGet(port(), "/metrics").body.size();
  Watch();
  const std::string huge(8 << 20, 'a');
  const std::string many = [] {
    std::string headers;
    for (int i = 0; i < 100'000; ++i) absl::StrAppend(&headers, "X-", i, ": y\r\n");
    return headers;
  }();
  const std::string requests[] = {
      absl::StrCat("GET /", huge, " HTTP/1.1\r\nHost: x\r\n\r\n"),
      absl::StrCat("GET / HTTP/1.1\r\nHost: x\r\nX: ", huge, "\r\n\r\n"),
      absl::StrCat("GET / HTTP/1.1\r\nHost: x\r\n", many, "\r\n"),
      absl::StrCat("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n", huge),
      absl::StrCat("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\n",
                   huge),
      absl::StrCat(huge, "\r\n\r\n"),
      absl::StrCat("GET /metrics?q=", std::string(6000, 'q'), " HTTP/1.1\r\nHost: x\r\n\r\n"),
      absl::StrCat("GET / HTTP/1.1\r\nHost: x\r\nX: ", std::string(20'000, 'h'), "\r\n\r\n"),
  };
  for (int round = 0; round < 20; ++round) {
    for (const std::string& request : requests) {
      RawConnection connection(port());
      connection.Send(request);  // may be cut: it is refused before it ends
      const std::string reply = connection.Receive(absl::Seconds(2), 12);
      EXPECT_TRUE(reply.empty() || absl::StartsWith(reply, "HTTP/1.1 4")) << reply;
      Look();
    }
    if (round % 5 == 0) Scrape();
  }
  // What could be read is answered and counted by its code; what could not, as no request.
  for (const char* code : {"413", "414", "431"}) {
    EXPECT_GE(Self(absl::StrCat("fleet_collector_http_requests_total{code=\"", code,
                                "\",route=\"other\"}")),
              20)
        << code;
  }
  EXPECT_GE(Shut("no_request"), 60);
  ExpectBounded("oversized requests");
}

TEST_F(HttpFloodTest, ReadersThatDoNotReadKeepNobodyOut) {
  Fill();
  body_bytes_ = HttpGet(port(), "/metrics").body.size();
  EXPECT_GT(body_bytes_, 5u << 20) << "more than any socket's buffer";
  Watch();
  std::vector<RawConnection> readers;
  for (int i = 0; i < 600; ++i) {
    RawConnection& reader = readers.emplace_back(port());
    reader.Send(i % 3 == 0 ? "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
                           : "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    if (i % 2 == 0) reader.Receive(absl::Milliseconds(20), 100);  // drips
    if (i % 100 == 99) Scrape();
    if (i % 10 == 0) Look();
  }
  Scrape();
  EXPECT_GT(Shut("stalled"), 0);
  EXPECT_LE(Self("fleet_collector_http_connections"), 200);
  ExpectBounded("600 slow readers");
}

}  // namespace
}  // namespace fleet::test
