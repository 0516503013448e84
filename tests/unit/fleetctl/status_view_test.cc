#include "fleetctl/status_view.h"

#include <google/protobuf/text_format.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "tests/support/matchers.h"

namespace fleet::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Two hosts: tempo's RAID is degraded, its redis dead; parasect's sidekiq follows from that.
v1::StatusReply ChitterAtThreeInTheMorning() {
  v1::StatusReply reply;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(
        verdict: VERDICT_CRIT
        hosts {
          name: "parasect"
          verdict: VERDICT_UNKNOWN
          up: true
          age_seconds: 2.1
          absent: "minio"
          absent: "raid"
          agent_version: "0.1.0"
          address: "10.235.0.3"
          clock_skew_seconds: -0.0021
          series: 412
          checks {
            name: "load"
            age_seconds: 2.1
            interval_seconds: 10
            success: true
            reason: "load 0.20 0.18 0.12 on 4 CPUs"
          }
          checks {
            name: "sidekiq"
            verdict: VERDICT_UNKNOWN
            unknown: UNKNOWN_KIND_ERROR
            reason: "its Redis does not answer"
            caused_by: "tempo/redis/6379"
            age_seconds: 2.1
            interval_seconds: 10
            last_success_age_seconds: 312
          }
        }
        hosts {
          name: "tempo"
          verdict: VERDICT_CRIT
          up: true
          age_seconds: 3.1
          agent_version: "0.1.0"
          address: "10.235.0.4"
          clock_skew_seconds: 0.0004
          series: 1288
          notes: "40 series dropped: more than 20000"
          checks {
            name: "disk"
            verdict: VERDICT_WARN
            reason: "/data: 91.2 % used, full in 6 d"
            age_seconds: 3.1
            interval_seconds: 10
            success: true
            items { name: "/" reason: "41.0 % used" }
            items { name: "/data" verdict: VERDICT_WARN reason: "91.2 % used, full in 6 d" }
          }
          checks {
            name: "raid"
            verdict: VERDICT_CRIT
            reason: "md0: degraded, not rebuilding: slot 1 missing, was sdb (serial WD-WMC4N0123456) (+1 more)"
            age_seconds: 3.1
            interval_seconds: 10
            success: true
            duration_seconds: 0.0012
            items {
              name: "md0"
              verdict: VERDICT_CRIT
              reason: "degraded, not rebuilding: slot 1 missing, was sdb (serial WD-WMC4N0123456)"
            }
            items { name: "md1" verdict: VERDICT_WARN reason: "rebuilding 12.3 %, 2 h 5 min left" }
          }
          checks {
            name: "redis"
            verdict: VERDICT_CRIT
            reason: "6379: connection refused"
            age_seconds: 3.1
            interval_seconds: 10
            items { name: "6379" verdict: VERDICT_CRIT reason: "connection refused" }
          }
        }
      )pb",
      &reply));
  return reply;
}

TEST(StatusTableTest, ShowsTheCauseFirstAndFoldsWhatFollows) {
  EXPECT_EQ(RenderStatusTable(ChitterAtThreeInTheMorning(), {}),
            R"(fleet crit: 2 hosts, 5 checks (1 ok, 1 warn, 1 unknown, 2 crit)

HOST      VERDICT  SEEN   CHECKS
tempo     crit     3.1 s  1 warn, 2 crit
parasect  unknown  2.1 s  1 ok, 1 unknown

crit  tempo/raid
    md0: degraded, not rebuilding: slot 1 missing, was sdb (serial
    WD-WMC4N0123456)
    md1 (warn): rebuilding 12.3 %, 2 h 5 min left

crit  tempo/redis
    6379: connection refused
    so also: parasect/sidekiq (unknown: error)

warn  tempo/disk
    /data: 91.2 % used, full in 6 d

not there: parasect: minio, raid
limit: tempo: 40 series dropped: more than 20000
)");
}

TEST(StatusTableTest, StaysInsideItsWidth) {
  for (const std::string& line : std::vector<std::string>(
           absl::StrSplit(RenderStatusTable(ChitterAtThreeInTheMorning(), {}), '\n'))) {
    EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(StatusTableTest, OneHostShowsAllItsChecks) {
  v1::StatusReply reply = ChitterAtThreeInTheMorning();
  reply.mutable_hosts()->RemoveLast();
  ViewOptions view;
  view.detail = true;
  EXPECT_THAT(
      RenderStatusTable(reply, view),
      HasSubstr("parasect/load     ok              2.1 s  load 0.20 0.18 0.12 on 4 CPUs\n"));
  // Its cause is not in the picture: so it is not folded away.
  EXPECT_THAT(RenderStatusTable(reply, view), HasSubstr("follows from tempo/redis/6379"));
}

TEST(StatusTableTest, SaysWhenNobodyReports) {
  EXPECT_THAT(RenderStatusTable({}, {}), HasSubstr("no host has reported yet"));
}

TEST(StatusTableTest, ASilentHostIsUnknownAndNamed) {
  v1::StatusReply reply;
  v1::HostStatus& host = *reply.add_hosts();
  host.set_name("tempo");
  host.set_verdict(v1::VERDICT_UNKNOWN);
  host.set_age_seconds(250);
  reply.set_verdict(v1::VERDICT_UNKNOWN);
  EXPECT_THAT(RenderStatusTable(reply, {}), HasSubstr("unknown  tempo\n    silent for 4 min\n"));
  EXPECT_EQ(StatusExitCode(reply, ""), 3);
}

TEST(StatusTableTest, SaysWhatAHostHasStillToSend) {
  v1::StatusReply reply;
  v1::HostStatus& host = *reply.add_hosts();
  host.set_name("tempo");
  host.set_up(true);
  host.add_checks()->set_name("disk");
  EXPECT_THAT(RenderStatusTable(reply, {}), HasSubstr("1 ok\n"));
  host.set_spool_reports(1204);
  EXPECT_THAT(RenderStatusTable(reply, {}), HasSubstr("1 ok; reports still in its spool: 1204\n"));
}

TEST(StatusJsonTest, HasTheFormThatProgramsRelyOn) {
  const auto json = nlohmann::json::parse(RenderStatusJson(ChitterAtThreeInTheMorning()));
  EXPECT_EQ(json["verdict"], "crit");
  EXPECT_EQ(json["hosts"][0]["name"], "parasect");
  EXPECT_EQ(json["hosts"][0]["absent"], nlohmann::json({"minio", "raid"}));
  EXPECT_EQ(json["hosts"][0]["up"], true);
  EXPECT_EQ(json["hosts"][0]["spoolReports"], 0);
  EXPECT_EQ(json["hosts"][0]["ageSeconds"], 2.1);
  EXPECT_EQ(json["hosts"][0]["checks"][1]["causedBy"], "tempo/redis/6379");
  EXPECT_EQ(json["hosts"][0]["checks"][1]["unknown"], "error");
  EXPECT_EQ(json["hosts"][1]["checks"][0]["items"][1],
            nlohmann::json(
                {{"name", "/data"}, {"verdict", "warn"}, {"reason", "91.2 % used, full in 6 d"}}));
  EXPECT_TRUE(json["probes"].is_array());
}

TEST(StatusTsvTest, KeepsOneLineAnEntry) {
  v1::StatusReply reply;
  v1::CheckStatus& check = *reply.add_hosts()->add_checks();
  check.set_reason("a\tb\nc");
  EXPECT_THAT(RenderStatusTsv(reply), HasSubstr("\ta b c\n"));
}

TEST(ExitCodeTest, IsTheVerdictUnlessLessBadThanAskedFor) {
  v1::StatusReply reply;
  const auto code = [&](v1::Verdict verdict, absl::string_view fail_on) {
    reply.set_verdict(verdict);
    return StatusExitCode(reply, fail_on);
  };
  EXPECT_EQ(code(v1::VERDICT_OK, ""), 0);
  EXPECT_EQ(code(v1::VERDICT_WARN, ""), 1);
  EXPECT_EQ(code(v1::VERDICT_CRIT, ""), 2);
  EXPECT_EQ(code(v1::VERDICT_UNKNOWN, ""), 3);
  EXPECT_EQ(code(v1::VERDICT_WARN, "crit"), 0);
  EXPECT_EQ(code(v1::VERDICT_UNKNOWN, "crit"), 0);
  EXPECT_EQ(code(v1::VERDICT_CRIT, "crit"), 2);
  EXPECT_EQ(code(v1::VERDICT_WARN, "warn"), 1);
}

TEST(ExplanationTest, SaysWhatIsKnownAndWhatToDo) {
  const v1::StatusReply reply = ChitterAtThreeInTheMorning();
  const std::string raid = RenderExplanation(reply, "tempo", "raid", {});
  EXPECT_THAT(raid, HasSubstr("tempo/raid: crit\n"));
  EXPECT_THAT(raid, HasSubstr("next run      in 6.9 s, every 10 s\n"));
  EXPECT_THAT(raid, HasSubstr("mdadm --detail"));
  const std::string sidekiq = RenderExplanation(reply, "parasect", "sidekiq", {});
  EXPECT_THAT(sidekiq, HasSubstr("fleetctl explain tempo/redis/6379"));
  EXPECT_THAT(sidekiq, HasSubstr("last success  5 min ago\n"));
  EXPECT_THAT(RenderExplanation(reply, "parasect", "raid", {}), HasSubstr("absent"));
  EXPECT_THAT(RenderExplanation(reply, "parasect", "nonsense", {}), IsEmpty());
}

}  // namespace
}  // namespace fleet::ctl
