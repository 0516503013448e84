// Agents that look for the collector: the real programs and a real nginx.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/fleet_lab.h"
#include "tests/support/raw_http.h"
#include "tests/support/segment_files.h"
#include "tests/support/web_server.h"

namespace fleet::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class VantageTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WebServer::Available()) GTEST_SKIP() << "nginx is not installed";
  }

  /// Only agents look, so that what is known of the site comes from them.
  void StartCollector() {
    lab_.StartCollector(
        {.extra = absl::StrCat("probes:\n"
                               "  - {name: site, token: site, url: \"",
                               web_.url(), "\", period: 1s, vantages: [tempo, parasect]}\n"),
         .environment = {},
         .wrapper = {},
         .grpc_listen = ""});
    ASSERT_TRUE(lab_.WaitReady()) << lab_.log("collector");
  }
  void StartAgent(const std::string& host, const std::string& extra) {
    lab_.StartAgent(host, {.interval = "1s",
                           .checks = "",
                           .extra = extra,
                           .environment = {},
                           .wrapper = {},
                           .collector = "",
                           .root = ""});
  }

  json Probe() {
    const json status = lab_.Status();
    return status.is_null() || status["probes"].empty() ? json() : status["probes"][0];
  }
  std::string Metrics() { return Shell("curl -s " + lab_.url("/metrics")).text; }
  /// How many looks of `vantage` are counted.
  double Samples(const std::string& vantage) {
    const json hosts = json::parse(Shell("curl -s -H 'X-Api-Key: " + key_ + "' '" +
                                         lab_.url("/api/checks/site/metrics?group=host") + "'")
                                       .text,
                                   nullptr, false);
    if (!hosts.is_object() || !hosts.contains(vantage)) return 0;
    return hosts[vantage]["requests"]["samples"];
  }
  /// How many looks wait in the spool of `host`.
  double Spooled(const std::string& host) {
    double looks = 0;
    for (const SegmentFile& file : FindSegmentFiles(lab_.spool_dir(host))) {
      for (const StoredReport& report : ReadSegmentFile(file.path)) {
        looks += absl::StartsWith(report.check, "probe.") ? 1 : 0;
      }
    }
    return looks;
  }

  WebServer web_;
  FleetLab lab_;
  std::string key_;  // of the API
};

TEST_F(VantageTest, WhatAgentsSeeIsBelieved) {
  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  StartCollector();
  StartAgent("tempo", "probes: {allow: [\"127.0.0.1\"]}\n");
  StartAgent("parasect", "probes: {allow: [\"127.0.0.0/8\"]}\n");
  const auto sees = [this](const std::string& vantage, const std::string& value) {
    const std::string text = Metrics();
    for (const absl::string_view line : absl::StrSplit(text, '\n')) {
      if (absl::StartsWith(line, "probe_success{") &&
          absl::StrContains(line, "vantage=\"" + vantage + "\"") &&
          absl::EndsWith(line, "} " + value)) {
        return true;
      }
    }
    return false;
  };
  ASSERT_TRUE(
      WaitFor([&] { return sees("tempo", "1") && sees("parasect", "1"); }, absl::Seconds(30)))
      << Metrics() << lab_.log("tempo");
  EXPECT_EQ(Probe()["down"], false);
  // The host's own verdict is not what it sees of others.
  const json tempo = lab_.Host("tempo");
  for (const json& check : tempo["checks"]) {
    EXPECT_THAT(std::string(check["name"]), testing::Not(HasSubstr("probe")));
  }

  web_.Stop();
  ASSERT_TRUE(WaitFor([&] { return Probe().value("down", false); }, absl::Seconds(30)))
      << Probe() << Metrics();
  EXPECT_THAT(std::string(Probe()["reason"]), HasSubstr("refused"));

  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  EXPECT_TRUE(WaitFor([&] { return Probe().value("down", true) == false; }, absl::Seconds(30)))
      << Probe();
}

TEST_F(VantageTest, AnAgentAsksOnlyWhatItsOwnRulesAllow) {
  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  StartCollector();
  StartAgent("tempo", "");
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(Probe().dump(), "probes: {allow:"); },
                      absl::Seconds(30)))
      << Probe();
  EXPECT_EQ(Probe()["verdict"], "unknown");
  EXPECT_EQ(Probe()["down"], false);
}

TEST_F(VantageTest, WhoDoesNotWantToLookIsNotAsked) {
  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  StartCollector();
  StartAgent("tempo", "probes: {enabled: false, allow: [\"127.0.0.1\"]}\n");
  ASSERT_TRUE(WaitFor([&] { return !lab_.Host("tempo").is_null(); }, absl::Seconds(30)));
  StartAgent("parasect", "probes: {allow: [\"127.0.0.1\"]}\n");
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(Metrics(), "vantage=\"parasect\""); },
                      absl::Seconds(30)));
  EXPECT_FALSE(absl::StrContains(Metrics(), "vantage=\"tempo\""));
}

TEST_F(VantageTest, AnOutageOfTheCollectorLeavesNoGap) {
  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  StartCollector();
  StartAgent("tempo", "probes: {allow: [\"127.0.0.1\"]}\n");
  key_ = std::string(absl::StripAsciiWhitespace(
      lab_.Fleetctl({"key", "new", "test", "--read-only", "--quiet"}).text));
  ASSERT_TRUE(WaitFor([&] { return Samples("tempo") >= 3; }, absl::Seconds(60))) << key_;
  lab_.collector().Kill(SIGKILL);
  ASSERT_TRUE(lab_.collector().Wait(absl::Seconds(10)).has_value());
  // Eight more looks, of which only the agent's spool knows.
  const double before = Spooled("tempo");
  ASSERT_TRUE(WaitFor([&] { return Spooled("tempo") >= before + 8; }, absl::Seconds(60)));
  StartCollector();
  EXPECT_TRUE(WaitFor([&] { return Samples("tempo") >= before + 8; }, absl::Seconds(60)))
      << Samples("tempo") << " of " << before + 8;
  // What the journal holds of it is no check of the host, now or then, and no series of it.
  const std::string was = lab_.Fleetctl({"status", "--at", "0s", "-o", "json"}).text;
  const std::string exported = lab_.Fleetctl({"export", "--openmetrics"}).text;
  for (const std::string& text : {lab_.Host("tempo").dump(), was, exported}) {
    EXPECT_THAT(text, HasSubstr("load")) << "there is something of the host";
    EXPECT_THAT(text, testing::Not(HasSubstr("probe.site")));
  }
}

}  // namespace
}  // namespace fleet::test
