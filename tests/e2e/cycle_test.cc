// One outage from its beginning to its end, and the collector killed in the middle of it: whoever
// is asked says the same.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/http_client.h"
#include "tests/support/fake_minio.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/hook_receiver.h"
#include "tests/support/tsdb_server.h"
#include "tests/support/web_server.h"

namespace fleet::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kKey[] = "ro-0123456789abcdef";

class CycleTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!WebServer::Available()) GTEST_SKIP() << "nginx is not installed";
    if (const std::string missing = FakeMinio::Missing(); !missing.empty()) GTEST_SKIP() << missing;
    minio_.emplace();
    WriteFile(dir_ / "keys", absl::StrCat(kKey, "\n"));
    WriteFile(dir_ / "access", "fleet-access");
    WriteFile(dir_ / "secret", "fleet-secret");
    ASSERT_TRUE(web_.Serve("return 200 hello;"));
    Start();
  }
  void Start() {
    // Else the ports of the one before would be read.
    std::filesystem::remove(dir_ / "ports");
    collector_.emplace(
        dir_, absl::StrCat("data_dir: ", dir_ / "data", "\nhttp: {keys_file: ", dir_ / "keys",
                           "}\nprobes: [{name: web, token: 1kae, alias: "
                           "Website, period: 1s, published: true, url: \"",
                           web_.url(), "\"}]\nwebhooks: [\"", hooks_.url("/hook"),
                           "\"]\nstatus_page: {title: chitter}\npublish:\n  - ", dir_ / "site",
                           "\n  - {url: \"", minio_->url("/canary/page"),
                           "\", name: bucket, access_key_file: ", dir_ / "access",
                           ", secret_key_file: ", dir_ / "secret", "}\n"));
  }
  json Get(const std::string& path) {
    return json::parse(HttpGet(collector_->url(path), {absl::StrCat("X-API-KEY: ", kKey)}).body,
                       nullptr, false);
  }
  std::string Text(const std::string& path) { return HttpGet(collector_->url(path)).body; }
  std::string InBucket(const std::string& name) {
    HttpRequest request;
    request.url = minio_->url(absl::StrCat("/canary/page/", name));
    request.signer = HttpSigner{"fleet-access", "fleet-secret", "us-east-1", "s3"};
    const auto response = client_.Fetch(request);
    return response.ok() ? response->body : "";
  }
  /// What the webhooks have told of `kind`, each event once however often it came.
  std::map<std::string, json> Told(const std::string& kind) {
    std::map<std::string, json> told;  // by time
    for (const json& event : hooks_.Events("/hook")) {
      if (event["event"] == kind) told[event["time"]] = event;
    }
    return told;
  }
  json Parsed(const std::string& text) { return json::parse(text, nullptr, false); }

  /// Waits until the copies say what the word of the whole is.
  void ExpectEverywhere(const std::string& indicator) {
    for (const auto& [where, text] : std::map<std::string, std::function<std::string()>>{
             {"/api/v2/status.json", [&] { return Text("/api/v2/status.json"); }},
             {"the directory", [&] { return ReadFile(dir_ / "site/status.json"); }},
             {"the bucket", [&] { return InBucket("status.json"); }}}) {
      SCOPED_TRACE(where);
      const std::function<std::string()>& ask = text;  // clang 14 captures no structured binding
      EXPECT_TRUE(WaitFor(
          [&] {
            const json status = Parsed(ask());
            return status.is_object() && status["status"]["indicator"] == indicator;
          },
          absl::Seconds(30)))
          << ask();
    }
  }

  TempDir dir_;
  WebServer web_;
  HookReceiver hooks_;
  HttpClient client_;
  std::optional<FakeMinio> minio_;
  std::optional<CollectorProcess> collector_;
};

TEST_F(CycleTest, EverybodyTellsTheSameOutage) {
  ExpectEverywhere("none");
  web_.Stop();
  ExpectEverywhere("critical");
  EXPECT_EQ(Fleetctl(*collector_, {"announce", "We are *on it*."}).exit_code, 0);

  // Killed in the middle: it is the same outage afterwards.
  const json before = Parsed(Text("/api/v2/incidents/unresolved.json"))["incidents"];
  collector_->process().Kill(SIGKILL);
  ASSERT_TRUE(collector_->process().Wait(absl::Seconds(10)).has_value());
  Start();
  ExpectEverywhere("critical");
  TsdbServer prometheus(TsdbServer::Kind::kPrometheus,
                        absl::StrCat("127.0.0.1:", collector_->http_port()));
  ASSERT_TRUE(prometheus.Start()) << prometheus.log();
  const json incidents = Parsed(Text("/api/v2/incidents/unresolved.json"))["incidents"];
  ASSERT_EQ(incidents.size(), 2u) << incidents;
  const json& outage = incidents[1];
  EXPECT_EQ(outage["name"], "Website down");
  EXPECT_EQ(outage["id"], before[1]["id"]);
  EXPECT_EQ(outage["started_at"], before[1]["started_at"]);
  const std::string id = outage["id"];

  const json downtimes =
      Parsed(Fleetctl(*collector_, {"downtimes", "-o", "json"}).text)["downtimes"];
  ASSERT_EQ(downtimes.size(), 1u);
  EXPECT_EQ(downtimes[0]["id"], id);
  EXPECT_TRUE(downtimes[0]["endedAt"].is_null());
  EXPECT_EQ(Status(*collector_)["probes"][0]["down"], true);
  const auto probe = [&] {
    return Parsed(Fleetctl(*collector_, {"probes", "-o", "json"}).text)["probes"][0];
  };
  EXPECT_EQ(probe()["down"], true);
  EXPECT_EQ(probe()["downSince"].get<std::string>().substr(0, 19),
            downtimes[0]["startedAt"].get<std::string>().substr(0, 19));
  EXPECT_EQ(Get("/api/checks/1kae")["down"], true);
  EXPECT_EQ(Get("/api/checks/1kae/downtimes")[0]["id"], id);
  ASSERT_TRUE(WaitFor([&] { return !Told("check.down").empty(); }, absl::Seconds(30)));
  const json down = Told("check.down").begin()->second;
  EXPECT_EQ(down["downtime"]["id"], id);
  EXPECT_EQ(down["downtime"]["started_at"], Get("/api/checks/1kae/downtimes")[0]["started_at"]);
  EXPECT_THAT(Text("/updates.html"), HasSubstr("We are <em>on it</em>."));
  EXPECT_TRUE(WaitFor([&] {
    for (const absl::string_view line : absl::StrSplit(Text("/metrics"), '\n')) {
      if (absl::StartsWith(line, "probe_success{") && absl::EndsWith(line, " 0")) return true;
    }
    return false;
  }));
  const auto in_prometheus = [&](const std::string& query, double value) {
    return WaitFor([&] { return prometheus.Query(query, absl::Now()) == value; },
                   absl::Seconds(30));
  };
  EXPECT_TRUE(in_prometheus("fleet_probe_down{check=\"1kae\"}", 1));
  EXPECT_TRUE(in_prometheus("probe_success{check=\"1kae\"}", 0));
  // The copies may still be those of before the kill for a moment.
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(ReadFile(dir_ / "site/index.html"), "We are <em>on it</em>.");
  }));
  for (const std::string& page : {Text("/status"), ReadFile(dir_ / "site/index.html")}) {
    EXPECT_THAT(page,
                AllOf(HasSubstr(">Major outage<"), HasSubstr("Website</strong> has been down"),
                      HasSubstr("We are <em>on it</em>.")));
  }
  EXPECT_TRUE(WaitFor(
      [&] { return absl::StrContains(InBucket("updates.html"), "We are <em>on it</em>."); }));
  EXPECT_THAT(Text("/status.atom"), HasSubstr("Website is down"));

  ASSERT_TRUE(web_.Serve("return 200 hello;"));
  // An announcement that is not over is no green.
  ExpectEverywhere("minor");
  const std::string announcement = incidents[0]["id"];
  EXPECT_EQ(Fleetctl(*collector_, {"announce", "--update", announcement, "--state", "resolved"})
                .exit_code,
            0);
  ExpectEverywhere("none");
  const json all = Parsed(Text("/api/v2/incidents.json"))["incidents"];
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1]["id"], id);
  EXPECT_EQ(all[1]["status"], "resolved");
  const json ended = Get("/api/checks/1kae/downtimes")[0];
  EXPECT_EQ(ended["id"], id);
  EXPECT_FALSE(ended["ended_at"].is_null());
  // Seconds there, milliseconds here.
  EXPECT_EQ(ended["ended_at"].get<std::string>().substr(0, 19),
            all[1]["resolved_at"].get<std::string>().substr(0, 19));
  ASSERT_TRUE(WaitFor([&] { return !Told("check.up").empty(); }, absl::Seconds(30)));
  const json up = Told("check.up").begin()->second;
  EXPECT_EQ(up["downtime"]["id"], id);
  EXPECT_EQ(up["downtime"]["ended_at"], ended["ended_at"]);
  EXPECT_EQ(up["downtime"]["duration"], ended["duration"]);
  // One outage, told once, although who tells it was killed in between.
  EXPECT_EQ(Told("check.down").size(), 1u);
  EXPECT_EQ(Told("check.up").size(), 1u);
  const json closed =
      Parsed(Fleetctl(*collector_, {"downtimes", "-o", "json"}).text)["downtimes"][0];
  EXPECT_EQ(closed["id"], id);
  EXPECT_EQ(closed["endedAt"].get<std::string>().substr(0, 19),
            ended["ended_at"].get<std::string>().substr(0, 19));
  EXPECT_EQ(probe()["down"], false);
  EXPECT_EQ(Status(*collector_)["probes"][0]["down"], false);
  EXPECT_TRUE(in_prometheus("fleet_probe_down{check=\"1kae\"}", 0));
  EXPECT_TRUE(in_prometheus("probe_success{check=\"1kae\"}", 1));
  EXPECT_TRUE(in_prometheus("max_over_time(fleet_probe_down{check=\"1kae\"}[10m])", 1));
  EXPECT_THAT(Text("/status"),
              AllOf(HasSubstr("Website</strong> was down for"), Not(HasSubstr("has been down"))));
  EXPECT_THAT(Text("/updates.html"), HasSubstr("<strong>Resolved</strong>"));
  EXPECT_THAT(Text("/status.atom"), HasSubstr("Website was down for"));
  EXPECT_TRUE(WaitFor([&] {
    const std::string page = InBucket("index.html");
    return absl::StrContains(page, "Website</strong> was down for") &&
           !absl::StrContains(page, "has been down");
  }));
}

}  // namespace
}  // namespace fleet::test
