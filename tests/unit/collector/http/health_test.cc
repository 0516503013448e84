#include "collector/http/health.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace fleet::collector {
namespace {

v1::StatusReply Fleet(v1::Verdict verdict, const std::string& reason, bool up = true) {
  v1::StatusReply reply;
  reply.set_verdict(up ? verdict : v1::VERDICT_UNKNOWN);
  v1::HostStatus& host = *reply.add_hosts();
  host.set_name("tempo");
  host.set_up(up);
  host.set_age_seconds(240);
  host.set_verdict(verdict);
  v1::CheckStatus& check = *host.add_checks();
  check.set_name("disk");
  check.set_verdict(verdict);
  check.set_reason(reason);
  return reply;
}

struct Expected {
  int status;
  std::string body;
};
void Expect(const HttpResponse& response, const Expected& expected) {
  EXPECT_EQ(response.status, expected.status);
  EXPECT_EQ(response.body, expected.body);
}

TEST(HealthAnswerTest, CritAndUnknownFailAndWarnWhenAskedTo) {
  const auto answer = [](v1::Verdict verdict, bool fail_on_warn) {
    return HealthAnswer("tempo/disk", Fleet(verdict, "why"), fail_on_warn, false);
  };
  Expect(answer(v1::VERDICT_OK, true), {200, "fleet-health:tempo/disk:pass\nverdict ok\n"});
  Expect(answer(v1::VERDICT_WARN, false), {200, "fleet-health:tempo/disk:pass\nverdict warn\n"});
  Expect(answer(v1::VERDICT_WARN, true), {503, "fleet-health:tempo/disk:fail\nverdict warn\n"});
  Expect(answer(v1::VERDICT_CRIT, false), {503, "fleet-health:tempo/disk:fail\nverdict crit\n"});
  Expect(answer(v1::VERDICT_UNKNOWN, false),
         {503, "fleet-health:tempo/disk:fail\nverdict unknown\n"});
}

TEST(HealthAnswerTest, ASilentHostFailsWithAllItsChecks) {
  for (const char* subject : {"*", "tempo", "tempo/disk"}) {
    const HttpResponse response =
        HealthAnswer(subject, Fleet(v1::VERDICT_OK, "", false), false, true);
    Expect(response,
           {503, absl::StrCat("fleet-health:", subject,
                              ":fail\nverdict unknown\ntempo unknown: silent for 4 min\n")});
  }
}

TEST(HealthAnswerTest, NobodyKnownIsNotWell) {
  Expect(HealthAnswer("*", {}, false, true),
         {503, "fleet-health:*:fail\nverdict unknown\nno host has reported\n"});
  Expect(HealthAnswer("tempo", {}, false, true), {404, "no such host or check\n"});
  v1::StatusReply no_check = Fleet(v1::VERDICT_OK, "");
  no_check.mutable_hosts(0)->clear_checks();
  Expect(HealthAnswer("tempo/disk", no_check, false, true), {404, "no such host or check\n"});
}

TEST(HealthAnswerTest, AProbeThatIsDownIsTheFleetsTrouble) {
  v1::StatusReply status = Fleet(v1::VERDICT_OK, "");
  status.set_verdict(v1::VERDICT_CRIT);
  v1::ProbeState& probe = *status.add_probes();
  probe.set_name("chitter.xyz");
  probe.set_verdict(v1::VERDICT_CRIT);
  probe.set_reason("502");
  Expect(HealthAnswer("*", status, false, true),
         {503, "fleet-health:*:fail\nverdict crit\nprobe/chitter.xyz crit: 502\n"});
  Expect(HealthAnswer("tempo", status, false, false),
         {200, "fleet-health:tempo:pass\nverdict ok\n"});
  status.clear_hosts();  // probes alone are a fleet too
  status.set_verdict(v1::VERDICT_OK);
  status.mutable_probes(0)->set_verdict(v1::VERDICT_OK);
  Expect(HealthAnswer("*", status, false, true), {200, "fleet-health:*:pass\nverdict ok\n"});
}

TEST(HealthAnswerTest, ReasonsAreOneLineEachWorstFirst) {
  v1::StatusReply reply = Fleet(v1::VERDICT_WARN, "91.2 % used\nfleet-health:tempo:pass");
  v1::CheckStatus& sidekiq = *reply.mutable_hosts(0)->add_checks();
  sidekiq.set_name("sidekiq");
  sidekiq.set_verdict(v1::VERDICT_UNKNOWN);
  sidekiq.set_caused_by("tempo/redis");
  reply.set_verdict(v1::VERDICT_UNKNOWN);
  const std::string body = HealthAnswer("*", reply, false, true).body;
  EXPECT_THAT(body, ::testing::StartsWith("fleet-health:*:fail\nverdict unknown\n"
                                          "tempo/sidekiq unknown (follows from tempo/redis)\n"
                                          "tempo/disk warn: 91.2 % used"));
  EXPECT_EQ(std::count(body.begin(), body.end(), '\n'), 4) << "an agent's text adds no line";
}

}  // namespace
}  // namespace fleet::collector
