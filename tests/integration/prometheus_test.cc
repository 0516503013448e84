#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_replace.h"
#include "collector/collector.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_agent.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FreePort;
using ::fleet::test::HttpGet;
using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::fleet::test::Process;
using ::fleet::test::TestAgent;
using ::fleet::test::WaitFor;
using nlohmann::json;

/// A collector in this process, scraped each second by the real Prometheus: directly, where
/// OpenMetrics is negotiated, and through an nginx that asks for text 0.0.4 in its place.
class PrometheusTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"prometheus", "promtool", "nginx"}) {
      if (!test::HasProgram(program)) GTEST_SKIP() << program << " is not installed";
    }
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    auto started = Collector::Start(std::move(options), Clock::Real());
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
    http_ = collector_->http_address().port;
  }

  void StartProxy() {
    text_port_ = FreePort();
    test::WriteFile(
        dir_ / "nginx.conf",
        absl::StrCat("daemon off; master_process off; pid ", dir_ / "nginx.pid",
                     "; error_log stderr; events {} http { access_log off; ",
                     "client_body_temp_path ", dir_ / "b", "; proxy_temp_path ", dir_ / "p",
                     "; fastcgi_temp_path ", dir_ / "f", "; uwsgi_temp_path ", dir_ / "u",
                     "; scgi_temp_path ", dir_ / "s", "; server { listen 127.0.0.1:", text_port_,
                     "; location / { proxy_http_version 1.1; proxy_set_header Accept "
                     "\"text/plain;version=0.0.4\"; proxy_pass http://127.0.0.1:",
                     http_, "; } } }\n"));
    nginx_.emplace(
        std::vector<std::string>{"nginx", "-e", dir_ / "nginx.log", "-c", dir_ / "nginx.conf"},
        Process::Options{.output_path = dir_ / "nginx.log",
                         .environment = {},
                         .user = {},
                         .working_directory = {}});
  }

  void StartPrometheus() {
    port_ = FreePort();
    const std::string direct = absl::StrCat("127.0.0.1:", http_);
    test::WriteFile(
        dir_ / "prometheus.yml",
        absl::StrCat(
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\n", "scrape_configs:\n",
            "- {job_name: open, honor_labels: true, static_configs: [{targets: ['", direct,
            "']}]}\n",
            "- {job_name: text, honor_labels: true, static_configs: [{targets: ['127.0.0.1:",
            text_port_, "']}]}\n",
            "- {job_name: self, metrics_path: /metrics/self, static_configs: [{targets: ['", direct,
            "']}]}\n", "- {job_name: hosts, honor_labels: true, http_sd_configs: [{url: 'http://",
            direct, "/sd/hosts', refresh_interval: 1s}]}\n"));
    prometheus_.emplace(
        std::vector<std::string>{
            "prometheus", absl::StrCat("--config.file=", dir_ / "prometheus.yml"),
            absl::StrCat("--storage.tsdb.path=", dir_ / "data"),
            absl::StrCat("--web.listen-address=127.0.0.1:", port_), "--log.level=debug"},
        Process::Options{.output_path = dir_ / "prometheus.log",
                         .environment = {},
                         .user = {},
                         .working_directory = {}});
  }

  /// The value of an instant query with one answer; nothing otherwise.
  std::optional<double> Query(absl::string_view query) {
    const std::string encoded = absl::StrReplaceAll(
        query,
        {{"{", "%7B"}, {"}", "%7D"}, {"\"", "%22"}, {"=", "%3D"}, {"[", "%5B"}, {"]", "%5D"}});
    const auto reply = HttpGet(port_, absl::StrCat("/api/v1/query?query=", encoded));
    const json result = json::parse(reply.body, nullptr, false);
    if (result.is_discarded() || result.value("status", "") != "success") return std::nullopt;
    const json& rows = result["data"]["result"];
    if (rows.size() != 1) return std::nullopt;
    return std::stod(rows[0]["value"][1].get<std::string>());
  }

  test::TempDir dir_;
  std::unique_ptr<Collector> collector_;
  uint16_t http_ = 0;
  uint16_t text_port_ = 0;
  uint16_t port_ = 0;
  std::optional<Process> nginx_;
  std::optional<Process> prometheus_;
};

TEST_F(PrometheusTest, ScrapesBothFormatsWithoutAParseError) {
  TestAgent agent({.port = collector_->grpc_address().port, .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("disk", 42)), IsOk());
  ASSERT_THAT(agent.Send(MakeReport("raid", 7, Verdict::kCrit, "sdb is gone")), IsOk());
  StartProxy();
  StartPrometheus();
  for (const char* query :
       {"up{job=\"open\"}", "up{job=\"text\"}", "up{job=\"self\"}", "up{job=\"hosts\"}"}) {
    EXPECT_TRUE(WaitFor([&] { return Query(query) == 1; }, absl::Seconds(40)))
        << query << "\n"
        << test::ReadFile(dir_ / "prometheus.log").substr(0, 4000);
  }
  EXPECT_EQ(Query("count(fleet_example_value{host=\"tempo\",instance=\"tempo\",check=\"disk\"})"),
            1);
  EXPECT_EQ(Query("max(fleet_check_status{host=\"tempo\",check=\"raid\"})"), 2);
  EXPECT_EQ(Query("count(up{job=\"hosts\",instance=\"tempo\",host=\"tempo\"})"), 1);
  EXPECT_GE(Query("min(scrape_samples_scraped)").value_or(0), 5);
  // Each has been scraped several times; a scrape that could not be parsed is logged so.
  EXPECT_TRUE(WaitFor([&] { return Query("min(count_over_time(up[30s]))").value_or(0) >= 4; },
                      absl::Seconds(40)));
  EXPECT_THAT(test::ReadFile(dir_ / "prometheus.log"),
              ::testing::Not(::testing::HasSubstr("ppend failed")));
  const auto all_up = [&] {
    const json targets = json::parse(HttpGet(port_, "/api/v1/targets").body, nullptr, false);
    if (targets.is_discarded() || targets["data"]["activeTargets"].size() != 4) return false;
    for (const json& target : targets["data"]["activeTargets"]) {
      if (target["health"] != "up" || target["lastError"] != "") return false;
    }
    return true;
  };
  EXPECT_TRUE(WaitFor(all_up)) << HttpGet(port_, "/api/v1/targets").body;
}

TEST_F(PrometheusTest, PromtoolFindsNoFault) {
  TestAgent agent({.port = collector_->grpc_address().port, .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  Report report = MakeReport("disk", 42);
  report.samples.Clear();  // what the collector itself says
  ASSERT_THAT(agent.Send(report), IsOk());
  for (const char* path : {"/metrics", "/metrics/host/tempo", "/metrics/self"}) {
    SCOPED_TRACE(path);
    const std::string file = dir_ / "metrics.txt";
    test::WriteFile(file, HttpGet(http_, path).body);
    const test::Output output = test::Shell(absl::StrCat("promtool check metrics < ", file));
    EXPECT_EQ(output.exit_code, 0) << output.text;
  }
}

}  // namespace
}  // namespace fleet::collector
