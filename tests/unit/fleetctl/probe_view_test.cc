#include "fleetctl/probe_view.h"

#include <google/protobuf/text_format.h>

#include <nlohmann/json.hpp>

#include "tests/support/matchers.h"

namespace fleet::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::ProbesReply Probes() {
  v1::ProbesReply reply;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        probes {
          name: "chitter.xyz"
          token: "1kae"
          verdict: VERDICT_CRIT
          reason: "502"
          down: true
          uptime_percent: 99.978
          caused_by: "tempo"
          url: "https://chitter.xyz/"
          type: "https"
          down_since_seconds: 1700000000
          last_look_age_seconds: 3
          period_seconds: 60
          vantages: 3
          failing_vantages: 2
          enabled: true
          last_status: 502
          reported { key: "upstream" value: "tempo" }
        }
        probes {
          name: "media"
          token: "ljag"
          verdict: VERDICT_UNKNOWN
          unknown: UNKNOWN_KIND_BLIND
          reason: "settings.media_host is not set"
          uptime_percent: 100
          last_look_age_seconds: -1
          vantages: 1
          enabled: true
        })pb",
      &reply));
  return reply;
}

TEST(ProbeView, ShowsWhatIsWrongAndWhy) {
  const std::string text = RenderProbes(Probes(), {.width = 120});
  EXPECT_THAT(text, HasSubstr("chitter.xyz  1kae   crit"));
  EXPECT_THAT(text, HasSubstr("99.978%"));
  EXPECT_THAT(text, HasSubstr("2/3 fail"));
  EXPECT_THAT(text, HasSubstr("502 (caused by tempo)"));
  EXPECT_THAT(text, HasSubstr("unknown: blind"));
  EXPECT_THAT(text, HasSubstr("never"));
  EXPECT_THAT(RenderProbes({}, {}), HasSubstr("no probes"));
}

TEST(ProbeView, JsonHasFixedNames) {
  const nlohmann::json json = nlohmann::json::parse(RenderProbesJson(Probes()));
  const nlohmann::json& probe = json["probes"][0];
  EXPECT_EQ(probe["name"], "chitter.xyz");
  EXPECT_EQ(probe["token"], "1kae");
  EXPECT_EQ(probe["verdict"], "crit");
  EXPECT_EQ(probe["down"], true);
  EXPECT_EQ(probe["uptimePercent"], 99.978);
  EXPECT_EQ(probe["causedBy"], "tempo");
  EXPECT_EQ(probe["downSince"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(probe["reported"]["upstream"], "tempo");
  EXPECT_EQ(json["probes"][1]["ageSeconds"], nullptr);
  EXPECT_EQ(json["probes"][1]["verdict"], "unknown");
}

TEST(ProbeView, ExplainsOne) {
  const std::string text = RenderProbe(Probes().probes(0), {.width = 100});
  for (const char* expected :
       {"probe chitter.xyz: crit", "follows from  tempo", "2 of 3 see it fail", "every 60 s",
        "the answer was 502", "upstream      tempo", "fleetctl explain tempo"}) {
    EXPECT_THAT(text, HasSubstr(expected));
  }
}

TEST(ProbeView, DowntimesEndOrGoOn) {
  v1::DowntimesReply reply;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        now_seconds: 1700000600
        downtimes {
          id: "b"
          token: "1kae"
          probe: "chitter.xyz"
          error: "502"
          started_seconds: 1700000000
          caused_by: "tempo"
        }
        downtimes {
          id: "a"
          token: "ljag"
          probe: "media"
          error: "Connection timeout (10 seconds)"
          started_seconds: 1699990000
          ended_seconds: 1699990120
          partial: true
        })pb",
      &reply));
  const std::string text = RenderDowntimes(reply, {.width = 120});
  EXPECT_THAT(text, HasSubstr("still down"));
  EXPECT_THAT(text, HasSubstr("502 (caused by tempo)"));
  EXPECT_THAT(text, HasSubstr("one address family only"));
  const nlohmann::json json = nlohmann::json::parse(RenderDowntimesJson(reply));
  EXPECT_EQ(json["downtimes"][0]["endedAt"], nullptr);
  EXPECT_EQ(json["downtimes"][0]["durationSeconds"], nullptr);
  EXPECT_EQ(json["downtimes"][0]["partial"], nullptr);
  EXPECT_EQ(json["downtimes"][1]["durationSeconds"], 120);
  EXPECT_EQ(json["downtimes"][1]["partial"], true);
  EXPECT_THAT(RenderDowntimes({}, {}), HasSubstr("no downtimes"));
}

TEST(ProbeView, StatusFoldsWhatFollowsFromASilentHost) {
  v1::StatusReply reply;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        verdict: VERDICT_CRIT
        hosts { name: "tempo" verdict: VERDICT_UNKNOWN age_seconds: 100 })pb",
      &reply));
  *reply.mutable_probes() = Probes().probes();
  const std::string text = RenderStatusTable(reply, {.width = 100});
  EXPECT_THAT(text, HasSubstr("2 probes (1 unknown, 1 crit)"));
  EXPECT_THAT(text, HasSubstr("so also: probe chitter.xyz (crit)"));
  EXPECT_THAT(text, HasSubstr("probe media\n    settings.media_host is not set"));
  EXPECT_THAT(text, Not(HasSubstr("crit  probe chitter.xyz\n")));
  const nlohmann::json json = nlohmann::json::parse(RenderStatusJson(reply));
  EXPECT_EQ(json["probes"].size(), 2u);
  EXPECT_EQ(json["probes"][0]["causedBy"], "tempo");
  EXPECT_EQ(json["probes"][1]["unknown"], "blind");
  reply.clear_hosts();
  EXPECT_THAT(RenderStatusTable(reply, {.width = 100}), HasSubstr("probe chitter.xyz"));
}

}  // namespace
}  // namespace fleet::ctl
