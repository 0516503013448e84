// What clients of updown.io see of a real collector: keys, a downtime from its first failure to its
// end, with kill -9 in the middle, webhooks, pulses, and checks that may not look inside.
#include <unistd.h>

#include <csignal>
#include <set>

#include "tests/support/fleet_processes.h"
#include "tests/support/hook_receiver.h"
#include "tests/support/matchers.h"
#include "tests/support/raw_http.h"

namespace fleet::test {
namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kPatience = absl::Seconds(60);

class UpdownE2eTest : public ::testing::Test {
 protected:
  void Start(const std::string& more = "") {
    collector_.reset();
    ::unlink((dir_ / "ports").c_str());  // of the one before
    collector_ = std::make_unique<CollectorProcess>(
        dir_, absl::StrCat("insecure: true\ndata_dir: ", dir_ / "data", "\n", more));
  }
  std::string NewKey(const std::string& name, bool read_only = false) {
    std::vector<std::string> arguments = {"key", "new", "-q", name};
    if (read_only) arguments.emplace_back("--read-only");
    const Output output = Fleetctl(*collector_, arguments);
    EXPECT_EQ(output.exit_code, 0) << output.text;
    return output.text.substr(0, output.text.find('\n'));
  }
  HttpReply Call(absl::string_view method, absl::string_view path, absl::string_view body = "") {
    return HttpSend(collector_->http_port(), method, path, body, {{"X-API-KEY", key_}});
  }
  Json Get(absl::string_view path) {
    const HttpReply reply =
        test::HttpGet(collector_->http_port(), path, HttpHeaders{{"X-API-KEY", key_}});
    return Json::parse(reply.body, nullptr, false);
  }

  /// What the receiver was told, as receivers count it: by token, event and time. One that was
  /// answered just when the collector died may have come again.
  std::vector<Json> Told() {
    std::vector<Json> told;
    std::set<std::string> seen;
    for (const Json& event : receiver_.Events("/hook")) {
      if (seen.insert(event["event"].dump() + event["time"].dump()).second) told.push_back(event);
    }
    EXPECT_LE(receiver_.Events("/hook").size(), told.size() + 1);
    return told;
  }

  TempDir dir_;
  HookReceiver receiver_;
  std::unique_ptr<CollectorProcess> collector_;
  std::string key_;
};

TEST_F(UpdownE2eTest, KeysAreMadeListedAndRevoked) {
  Start();
  key_ = NewKey("laptop");
  const std::string read = NewKey("page", true);
  EXPECT_EQ(Call("GET", "/api/checks").status, 200);
  EXPECT_NE(Fleetctl(*collector_, {"key", "new", "laptop"}).exit_code, 0) << "the name is taken";
  const std::string list = Fleetctl(*collector_, {"key", "list"}).text;
  EXPECT_THAT(list, AllOf(HasSubstr("laptop"), HasSubstr("page"), HasSubstr("read"),
                          Not(HasSubstr(key_)), Not(HasSubstr(read))));
  EXPECT_EQ(Fleetctl(*collector_, {"key", "revoke", "laptop"}).exit_code, 0);
  EXPECT_EQ(Call("GET", "/api/checks").status, 401) << "at once";
  EXPECT_EQ(Fleetctl(*collector_, {"key", "revoke", "laptop"}).exit_code, 64);
  key_ = read;
  EXPECT_EQ(Call("GET", "/api/checks").status, 200);
  EXPECT_EQ(Call("POST", "/api/checks", "url=https://x.example").status, 403);
  EXPECT_TRUE(WaitFor([&] {
    const std::string events = Fleetctl(*collector_, {"events"}).text;
    return absl::StrContains(events, "key_revoked") && absl::StrContains(events, "key_read_only");
  })) << Fleetctl(*collector_, {"events"}).text;
}

TEST_F(UpdownE2eTest, ADowntimeIsToldOnceOverAKill) {
  const std::string config =
      absl::StrCat("probes: [{name: site, token: 1kae, url: \"", receiver_.url("/site"),
                   "\", period: 1s, published: true}]\nwebhooks: [\"", receiver_.url("/hook"),
                   "\"]\nhttp: {public_url: \"https://status.example\"}\n");
  Start(config);
  key_ = NewKey("test");
  ASSERT_TRUE(WaitFor([&] { return Get("/api/checks/1kae")["last_status"] == 200; }, kPatience))
      << collector_->log();
  receiver_.Set({{"/site", {{"code", 503}}}});
  ASSERT_TRUE(WaitFor([&] { return receiver_.Events("/hook").size() == 1; }, kPatience));
  const Json down = receiver_.Events("/hook")[0];
  EXPECT_EQ(down["event"], "check.down");
  EXPECT_EQ(down["check"]["down"], true);
  EXPECT_EQ(down["check"]["token"], "1kae");
  const Json check = Get("/api/checks/1kae");
  EXPECT_EQ(check["down"], true);
  EXPECT_EQ(check["down_since"], down["downtime"]["started_at"]);
  collector_->process().Kill(SIGKILL);
  collector_->process().Wait(absl::Seconds(10));
  Start(config);
  EXPECT_EQ(Get("/api/checks/1kae")["down"], true) << "no confirmed downtime is lost";
  receiver_.Set(Json::object());
  ASSERT_TRUE(WaitFor([&] { return Told().size() >= 2; }, kPatience));
  const std::vector<Json> events = Told();
  ASSERT_EQ(events.size(), 2);
  EXPECT_EQ(events[1]["event"], "check.up");
  EXPECT_EQ(events[1]["downtime"]["id"], down["downtime"]["id"]);
  const Json downtimes = Get("/api/checks/1kae/downtimes");
  ASSERT_EQ(downtimes.size(), 1);
  EXPECT_EQ(downtimes[0]["id"], down["downtime"]["id"]);
  EXPECT_EQ(downtimes[0]["ended_at"], events[1]["downtime"]["ended_at"]);
  const std::string details = absl::StrCat("/downtimes/", std::string(downtimes[0]["id"]));
  EXPECT_EQ(downtimes[0]["details_url"], absl::StrCat("https://status.example", details));
  EXPECT_THAT(test::HttpGet(collector_->http_port(), details, HttpHeaders{}).body,
              HasSubstr("site was down"));
  EXPECT_THAT(collector_->url("/"), HasSubstr("http"));
  const Json metrics = Get("/api/checks/1kae/metrics");
  EXPECT_GT(metrics["requests"]["samples"], 0) << metrics;
  EXPECT_TRUE(metrics["apdex"].is_number()) << metrics;
}

TEST_F(UpdownE2eTest, AChecksOwnerMayNotLookInside) {
  Start();
  key_ = NewKey("test");
  HttpReply made =
      Call("POST", "/api/checks", absl::StrCat("url=", receiver_.url("/inside"), "&period=15"));
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string path =
      absl::StrCat("/api/checks/", std::string(Json::parse(made.body)["token"]));
  ASSERT_TRUE(WaitFor([&] { return Get(path)["error"].is_string(); }, kPatience)) << Get(path);
  EXPECT_THAT(std::string(Get(path)["error"]), HasSubstr("not allowed here"));
  EXPECT_TRUE(receiver_.Requests("/inside").empty());
  EXPECT_EQ(Call("POST", "/api/checks", "url=https://x.example&http_verb=POST").status, 400);
  EXPECT_EQ(Call("POST", "/api/checks", "url=https://x.example&period=45").status, 400);
  EXPECT_EQ(Call("DELETE", path).status, 200);
  EXPECT_EQ(Call("GET", path).status, 404);
  Start("probes_allow: [127.0.0.1]\n");
  made = Call("POST", "/api/checks", absl::StrCat("url=", receiver_.url("/inside"), "&period=15"));
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_TRUE(WaitFor([&] { return !receiver_.Requests("/inside").empty(); }, kPatience));
}

TEST_F(UpdownE2eTest, PulsesComeInAndGoOut) {
  Start(absl::StrCat("pulses: [\"", receiver_.url("/pulse"), "\"]\n"));
  EXPECT_TRUE(WaitFor([&] { return !receiver_.Requests("/pulse").empty(); }, kPatience));
  key_ = NewKey("test");
  const Json made = Json::parse(Call("POST", "/api/checks", "type=pulse&period=86400").body);
  const std::string url = made["url"];
  const std::string path = url.substr(url.find("/pulse/"));
  EXPECT_THAT(test::HttpGet(collector_->http_port(), path, HttpHeaders{}).body, HasSubstr("OK: "));
  EXPECT_TRUE(WaitFor(
      [&] {
        return !Get(absl::StrCat("/api/checks/", std::string(made["token"])))["last_check_at"]
                    .is_null();
      },
      kPatience));
  EXPECT_EQ(test::HttpGet(collector_->http_port(), path + "x", HttpHeaders{}).status, 404);
  EXPECT_THAT(test::HttpGet(collector_->http_port(), "/metrics/self", HttpHeaders{}).body,
              HasSubstr("fleet_collector_pulses_total{result=\"sent\",to=\"127.0.0.1:"));
}

}  // namespace
}  // namespace fleet::test
