// Probes from end to end: a collector in this process, a real nginx, the real programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/match.h"
#include "collector/collector.h"
#include "collector/probes/probe_spec.h"
#include "tests/support/exposition_parser.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_agent.h"
#include "tests/support/web_server.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FreePort;
using ::fleet::test::HttpGet;
using ::fleet::test::IsOk;
using ::fleet::test::Process;
using ::fleet::test::WaitFor;
using nlohmann::json;
using ::testing::HasSubstr;

class ProbesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::WebServer::Available()) GTEST_SKIP() << "nginx is not installed";
  }

  ProbeCheck Check(const std::string& name, const std::string& token, const std::string& path) {
    ProbeCheck check;
    check.name = check.alias = name;
    check.token = token;
    check.url = web_.url(path);
    check.period = absl::Seconds(1);
    check.from_config = true;
    check.spec.http.report_headers = {"upstream"};
    EXPECT_TRUE(DeriveSpec(check).empty());
    return check;
  }

  void Start(std::vector<ProbeCheck> checks) {
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.data_dir = dir_ / "data";
    options.probes = std::move(checks);
    auto started = Collector::Start(std::move(options), Clock::Real());
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }

  test::Output Ctl(const std::string& arguments) {
    return test::Shell(absl::StrCat(FLEET_BIN_DIR, "/fleetctl --insecure --collector 127.0.0.1:",
                                    collector_->grpc_address().port, " ", arguments, " 2>&1"));
  }
  json CtlJson(const std::string& arguments) {
    return json::parse(Ctl(arguments + " -o json").text, nullptr, false);
  }
  /// A series of /metrics; nothing when it is not there.
  std::optional<double> Metric(const std::string& family, const std::string& labels) {
    const auto all =
        test::ParseExposition(HttpGet(collector_->http_address().port, "/metrics").body);
    const auto found = all.find(family);
    if (found == all.end()) return std::nullopt;
    const auto series = found->second.series.find(test::SortedLabels(labels));
    if (series == found->second.series.end()) return std::nullopt;
    return series->second;
  }

  test::TempDir dir_;
  test::WebServer web_;
  std::unique_ptr<Collector> collector_;
};

TEST_F(ProbesTest, EverybodySeesTheSameDowntime) {
  ASSERT_TRUE(web_.Serve("add_header upstream tempo always; return 200 hello;"));
  ProbeCheck check = Check("web", "aaaa", "/");
  check.parent = "tempo/minio";
  Start({check});
  const std::string labels =
      absl::StrCat("alias=\"web\",check=\"aaaa\",instance=\"", check.url,
                   "\",job=\"fleet\",module=\"http_2xx\",vantage=\"collector\"");
  EXPECT_TRUE(WaitFor([&] { return Metric("probe_success", labels) == 1; }, absl::Seconds(20)));
  EXPECT_EQ(Metric("probe_http_status_code", labels), 200);
  const std::string own = absl::StrCat("alias=\"web\",check=\"aaaa\",instance=\"", check.url,
                                       "\",job=\"fleet\",module=\"http_2xx\"");
  EXPECT_EQ(Metric("fleet_probe_down", own), 0);
  EXPECT_EQ(Metric("fleet_probe_reported_info", own + ",header=\"upstream\",value=\"tempo\""), 1);
  json status = CtlJson("status");
  ASSERT_EQ(status["probes"].size(), 1u) << status;
  EXPECT_EQ(status["probes"][0]["name"], "web");
  EXPECT_EQ(status["probes"][0]["token"], "aaaa");
  EXPECT_EQ(status["probes"][0]["verdict"], "ok");
  EXPECT_EQ(status["probes"][0]["down"], false);
  EXPECT_EQ(status["probes"][0]["uptimePercent"], 100.0);
  EXPECT_EQ(Ctl("status").exit_code, 0);
  EXPECT_EQ(CtlJson("downtimes")["downtimes"].size(), 0u);

  // Its parent fails too, and is the cause.
  test::TestAgent agent({.port = collector_->grpc_address().port, .host = "tempo"});
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.Send(test::MakeReport("minio", 1, Verdict::kCrit, "it is gone")), IsOk());
  ASSERT_TRUE(web_.Serve("return 502;"));
  EXPECT_TRUE(WaitFor([&] { return Metric("fleet_probe_down", own) == 1; }, absl::Seconds(30)));
  EXPECT_EQ(Metric("fleet_probe_status", own), 2);
  status = CtlJson("status");
  EXPECT_EQ(status["verdict"], "crit");
  EXPECT_EQ(status["probes"][0]["verdict"], "crit");
  EXPECT_EQ(status["probes"][0]["down"], true);
  EXPECT_EQ(status["probes"][0]["reason"], "502");
  EXPECT_EQ(status["probes"][0]["causedBy"], "tempo/minio");
  const test::Output table = Ctl("status");
  EXPECT_EQ(table.exit_code, 2);
  EXPECT_THAT(table.text, HasSubstr("so also: probe web (crit)"));
  const test::HttpReply health = HttpGet(collector_->http_address().port, "/health");
  EXPECT_EQ(health.status, 503);
  EXPECT_THAT(health.body, HasSubstr("fleet-health:*:fail"));
  json downtimes = CtlJson("downtimes web")["downtimes"];
  ASSERT_EQ(downtimes.size(), 1u);
  EXPECT_EQ(downtimes[0]["error"], "502");
  EXPECT_EQ(downtimes[0]["endedAt"], nullptr);
  EXPECT_EQ(downtimes[0]["causedBy"], "tempo/minio");
  EXPECT_THAT(Ctl("downtimes").text, HasSubstr("still down"));
  EXPECT_THAT(Ctl("explain web").text, HasSubstr("follows from"));
  EXPECT_EQ(Ctl("probes").exit_code, 2);
  EXPECT_THAT(Ctl("probes nosuch").text, HasSubstr("no probe \"nosuch\""));

  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  EXPECT_TRUE(WaitFor([&] { return Metric("fleet_probe_down", own) == 0; }, absl::Seconds(30)));
  downtimes = CtlJson("downtimes --since 1h")["downtimes"];
  ASSERT_EQ(downtimes.size(), 1u);
  EXPECT_NE(downtimes[0]["endedAt"], nullptr);
  EXPECT_EQ(downtimes[0]["partial"], false);
  const std::string id = downtimes[0]["id"];
  EXPECT_TRUE(WaitFor([&] {
    const std::string events = Ctl("events --since 1h").text;
    return absl::StrContains(events, "probe/web") && absl::StrContains(events, "502");
  }));

  const json targets =
      json::parse(HttpGet(collector_->http_address().port, "/sd/probes").body, nullptr, false);
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(targets[0]["targets"][0], check.url);
  EXPECT_EQ(targets[0]["labels"]["__param_module"], "http_2xx");
  EXPECT_EQ(targets[0]["labels"]["__param_check"], "aaaa");
  EXPECT_EQ(targets[0]["labels"]["check"], "aaaa");
  EXPECT_EQ(targets[0]["labels"]["alias"], "web");

  // All of it is still there after a restart.
  collector_.reset();
  Start({check});
  downtimes = CtlJson("downtimes")["downtimes"];
  ASSERT_EQ(downtimes.size(), 1u);
  EXPECT_EQ(downtimes[0]["id"], id);
}

TEST_F(ProbesTest, PrometheusTakesItAll) {
  if (!test::HasProgram("prometheus") || !test::HasProgram("promtool")) GTEST_SKIP();
  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  Start({Check("web \"1\"", "aaaa", "/"), Check("web 2", "bbbb", "/x?a=b")});
  const uint16_t http = collector_->http_address().port;
  ASSERT_TRUE(WaitFor(
      [&] { return absl::StrContains(HttpGet(http, "/metrics").body, "check=\"bbbb\",instance"); },
      absl::Seconds(20)));
  for (const char* path : {"/metrics", "/metrics/self"}) {
    test::WriteFile(dir_ / "metrics.txt", HttpGet(http, path).body);
    const test::Output output =
        test::Shell(absl::StrCat("promtool check metrics < ", dir_ / "metrics.txt"));
    EXPECT_EQ(output.exit_code, 0) << path << "\n" << output.text;
  }
  const uint16_t port = FreePort();
  test::WriteFile(dir_ / "prometheus.yml",
                  absl::StrCat("global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
                               "scrape_configs:\n"
                               "- {job_name: fleet, honor_labels: true, static_configs: "
                               "[{targets: ['127.0.0.1:",
                               http, "']}]}\n"));
  const Process prometheus(
      {"prometheus", absl::StrCat("--config.file=", dir_ / "prometheus.yml"),
       absl::StrCat("--storage.tsdb.path=", dir_ / "tsdb"),
       absl::StrCat("--web.listen-address=127.0.0.1:", port)},
      Process::Options{
          .output_path = dir_ / "log", .environment = {}, .user = {}, .working_directory = {}});
  const auto answers = [&](const std::string& query, const std::string& value) {
    return WaitFor(
        [&] {
          const json reply =
              json::parse(HttpGet(port, "/api/v1/query?query=" + query).body, nullptr, false);
          if (reply.is_discarded() || reply.value("status", "") != "success") return false;
          const json& rows = reply["data"]["result"];
          return rows.size() == 1 && rows[0]["value"][1] == value;
        },
        absl::Seconds(40));
  };
  EXPECT_TRUE(answers("up", "1")) << test::ReadFile(dir_ / "log");
  EXPECT_TRUE(answers("sum(probe_success)", "2"));
  EXPECT_TRUE(answers("count(probe_http_duration_seconds)", "10"));
  EXPECT_TRUE(answers("count(fleet_probe_status==0)", "2"));
  EXPECT_THAT(test::ReadFile(dir_ / "log"), ::testing::Not(HasSubstr("ppend failed")));
}

}  // namespace
}  // namespace fleet::collector
