#include "collector/updown/check_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/fake_probes.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Time At(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

TEST(JsonTextTest, WritesCompactJsonThatReadsBack) {
  JsonText json;
  json.BeginObject().Key("a\"b").Text("l1\nl2\t\x01\\ é \xff").Key("n").Null();
  json.Key("list").BeginArray().Int(-1).Number(99.978).Number(100).Number(0.125).Bool(true);
  json.Number(std::nan("")).BeginObject().EndObject().EndArray().Key("z").Text("").EndObject();
  const std::string text = json.Take();
  EXPECT_EQ(text, R"({"a\"b":"l1\nl2\u0009\u0001\\ é ?","n":null,)"
                  R"("list":[-1,99.978,100,0.125,true,null,{}],"z":""})");
  EXPECT_FALSE(nlohmann::json::parse(text).empty());
}

/// The example of the contract.
TEST(CheckJsonTest, IsUpdownsObject) {
  test::FakeProbes probes;
  ProbeView& view = probes.Add("1kae", "https://chitter.xyz/api/v1/timelines/public?local=true");
  ProbeCheck& check = test::FakeProbes::Definition(view);
  check.alias = "chitter.xyz";
  check.recipients = {"webhook:1159873859"};
  check.created_at = At("2018-05-01T00:00:00Z");
  view.status.last_status = 200;
  view.status.uptime = 99.978;
  view.status.up_since = At("2026-11-12T03:14:15Z");
  view.status.last_check_at = At("2026-11-23T16:49:23Z");
  view.status.next_check_at = At("2026-11-23T16:50:23Z");
  view.status.tls.emplace();
  view.status.tls->certificate.not_after = At("2027-02-01T00:00:00Z");
  view.status.tls_tested_at = At("2026-11-23T16:30:00Z");
  JsonText json;
  AppendCheck(view, {}, json);
  EXPECT_EQ(
      json.Take(),
      R"({"token":"1kae","url":"https://chitter.xyz/api/v1/timelines/public?local=true",)"
      R"("type":"https","alias":"chitter.xyz","last_status":200,"uptime":99.978,"down":false,)"
      R"("down_since":null,"up_since":"2026-11-12T03:14:15Z","error":null,"period":60,)"
      R"("apdex_t":0.5,"string_match":"","enabled":true,"published":true,)"
      R"("disabled_locations":[],"recipients":["webhook:1159873859"],)"
      R"("last_check_at":"2026-11-23T16:49:23Z","next_check_at":"2026-11-23T16:50:23Z",)"
      R"("created_at":"2018-05-01T00:00:00Z","mute_until":null,"favicon_url":null,)"
      R"("custom_headers":{},"http_verb":"GET/HEAD","http_body":"",)"
      R"("ssl":{"tested_at":"2026-11-23T16:30:00Z","expires_at":"2027-02-01T00:00:00Z",)"
      R"("valid":true,"error":null}})");
}

TEST(CheckJsonTest, OneThatIsNewOrDownHasNullsWhereNothingIsKnown) {
  test::FakeProbes probes;
  ProbeView& view = probes.Add("1kae", "http://chitter.xyz");
  JsonText fresh;
  AppendCheck(view, {}, fresh);
  EXPECT_THAT(fresh.Take(),
              HasSubstr(R"("alias":null,"last_status":null,"uptime":100,"down":false,)"
                        R"("down_since":null,"up_since":null,"error":null)"));
  view.status.down = true;
  view.status.down_since = At("2026-11-23T16:49:23Z");
  view.status.up_since = At("2026-11-12T03:14:15Z");
  view.status.error = "502";
  view.status.last_status = 502;
  JsonText down;
  AppendCheck(view, {}, down);
  const std::string text = down.Take();
  EXPECT_THAT(text, HasSubstr(R"("down":true,"down_since":"2026-11-23T16:49:23Z",)"
                              R"("up_since":null,"error":"502")"));
  EXPECT_EQ(text.find("\"ssl\""), std::string::npos) << "no TLS was seen";
}

TEST(CheckJsonTest, APulseShowsItsSecretOnlyWhenAsked) {
  test::FakeProbes probes;
  ProbeView& view = probes.Add("1kae", "");
  test::FakeProbes::Definition(view).type = "pulse";
  test::FakeProbes::Definition(view).pulse_key = "s3cr3t00";
  JsonText hidden;
  AppendCheck(view, {"https://x"}, hidden);
  EXPECT_THAT(hidden.Take(), HasSubstr(R"("url":"https://x/pulse/1kae",)"));
  JsonText shown;
  AppendCheck(view, {"https://x", true}, shown);
  EXPECT_THAT(shown.Take(), HasSubstr(R"("url":"https://x/pulse/1kae/s3cr3t00",)"));
}

TEST(MetricsJsonTest, IsUpdownsObject) {
  ProbeMetrics metrics;
  metrics.samples = 206;
  metrics.failures = 19;
  metrics.under = {70, 164, 187, 187, 187, 187, 187, 187, 187};
  metrics.redirect = 187 * 164.2;
  metrics.namelookup = 187 * 1;
  metrics.connection = 187 * 73;
  metrics.handshake = 187 * 168;
  metrics.response = 187 * 161.4;
  metrics.total = 187 * 568.6;
  metrics.uptime = 99.999;
  JsonText json;
  AppendMetrics(metrics, 0.25, nullptr, json);
  // Recorded: T = 0.25, of 206 samples 164 satisfied and 23 tolerated.
  EXPECT_EQ(json.Take(),
            R"({"uptime":99.999,"apdex":0.852,"timings":{"redirect":164,"namelookup":1,)"
            R"("connection":73,"handshake":168,"response":161,"total":569},)"
            R"("requests":{"samples":206,"failures":19,"satisfied":164,"tolerated":23,)"
            R"("by_response_time":{"under125":70,"under250":164,"under500":187,"under1000":187,)"
            R"("under2000":187,"under4000":187,"under8000":187,"under16000":187,)"
            R"("under32000":187}}})");
}

TEST(MetricsJsonTest, WithoutSamplesThereIsNoApdex) {
  JsonText json;
  AppendMetrics({}, 0.5, nullptr, json);
  const std::string text = json.Take();
  EXPECT_EQ(text.find("apdex"), std::string::npos);
  EXPECT_EQ(text.find("null"), std::string::npos);
}

TEST(DowntimeJsonTest, IsUpdownsObject) {
  Downtime downtime{"66f255685d3c15c3bbe8fd6e",
                    "1kae",
                    "Connection timeout (10 seconds)",
                    At("2024-09-24T05:59:32Z"),
                    At("2024-09-24T08:06:08Z"),
                    false,
                    ""};
  JsonText json;
  AppendDowntime(downtime, "https://updown.io", false, json);
  EXPECT_EQ(json.Take(),
            R"({"id":"66f255685d3c15c3bbe8fd6e",)"
            R"("details_url":"https://updown.io/downtimes/66f255685d3c15c3bbe8fd6e",)"
            R"x("error":"Connection timeout (10 seconds)","started_at":"2024-09-24T05:59:32Z",)x"
            R"("ended_at":"2024-09-24T08:06:08Z","duration":7596,"partial":false})");
  downtime.ended_at.reset();
  downtime.partial.reset();
  JsonText ongoing;
  AppendDowntime(downtime, "", true, ongoing);
  EXPECT_THAT(ongoing.Take(),
              HasSubstr(R"("ended_at":null,"duration":null,"partial":null,"down_results":[],)"
                        R"("up_results":[]})"));

  downtime.down_looks = {{At("2024-09-24T05:59:32Z"), "collector", false, "HEAD", 0, "192.0.2.7",
                          absl::Seconds(10), "Connection timeout (10 seconds)"}};
  downtime.up_looks = {
      {At("2024-09-24T08:06:08Z"), "tempo", true, "", 200, "", absl::Seconds(1), ""}};
  JsonText seen;
  AppendDowntime(downtime, "https://status.example", true, seen);
  EXPECT_THAT(
      seen.Take(),
      HasSubstr(
          R"x("down_results":[{"id":"66f255685d3c15c3bbe8fd6e-down-1","status":"down",)x"
          R"x("error":"Connection timeout (10 seconds)",)x"
          R"x("details_url":"https://status.example/downtimes/66f255685d3c15c3bbe8fd6e",)x"
          R"x("request":{"sent_at":"2024-09-24T05:59:32Z","http_method":"HEAD",)x"
          R"x("http_version":null,"sent_headers":{},"node":"collector"},)x"
          R"x("response":{"received_at":"2024-09-24T05:59:42Z","final_url":null,"code":null,)x"
          R"x("ip":"192.0.2.7","received_headers":{}}}],)x"
          R"x("up_results":[{"id":"66f255685d3c15c3bbe8fd6e-up-1","status":"up","error":null,)x"
          R"x("details_url":"https://status.example/downtimes/66f255685d3c15c3bbe8fd6e",)x"
          R"x("request":{"sent_at":"2024-09-24T08:06:08Z","http_method":null,)x"
          R"x("http_version":null,"sent_headers":{},"node":"tempo"},)x"
          R"x("response":{"received_at":"2024-09-24T08:06:09Z","final_url":null,"code":200,)x"
          R"x("ip":null,"received_headers":{}}}])x"));
}

TEST(NodesJsonTest, ListsVantagesWithTheirAddresses) {
  const std::vector<Vantage> vantages = {
      {"collector", true, ""}, {"tempo", true, "10.235.0.4"}, {"parasect", true, "fd00::3"}};
  EXPECT_EQ(NodeAddressesJson(vantages, true, true), R"(["10.235.0.4","fd00::3"])");
  EXPECT_EQ(NodeAddressesJson(vantages, true, false), R"(["10.235.0.4"])");
  EXPECT_EQ(NodeAddressesJson(vantages, false, true), R"(["fd00::3"])");
  const auto nodes = nlohmann::json::parse(NodesJson(vantages));
  EXPECT_EQ(nodes["tempo"]["ip"], "10.235.0.4");
  EXPECT_EQ(nodes["parasect"]["ip6"], "fd00::3");
}

}  // namespace
}  // namespace fleet::collector
