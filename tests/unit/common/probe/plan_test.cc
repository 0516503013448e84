#include "common/probe/plan.h"

#include <gmock/gmock.h>

#include <limits>

#include "fleet/v1/probe.pb.h"
#include "tests/support/matchers.h"

namespace fleet::probe {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// One with something in every field.
Planned FullPlanned() {
  Planned planned;
  planned.token = "1kae";
  planned.period = absl::Seconds(30);
  planned.both_families = true;
  Spec& spec = planned.spec;
  spec.target = "https://chitter.xyz/health";
  spec.family = IpFamily::kIpv6;
  spec.family_fallback = false;
  spec.timeout = absl::Seconds(7);
  spec.latency_max = absl::Milliseconds(1500);
  spec.http.method = "POST";
  spec.http.head_first = true;
  spec.http.headers = {{"X-One", "1"}, {"X-Two", "2"}};
  spec.http.body = std::string("a\0b", 3);
  spec.http.valid_status = {{200, 204}, {301, 301}};
  spec.http.any_status = true;
  spec.http.redirects_max = 3;
  spec.http.body_contains = "OK";
  spec.http.body_matches = "o+k";
  spec.http.body_does_not_match = "fail";
  spec.http.header_rules = {{"upstream", "tempo|b2", true, false}, {"server", "x", false, true}};
  spec.http.json_rules = {{"status", "up"}, {"version", std::nullopt}};
  spec.http.report_headers = {"upstream"};
  spec.http.final_url = "https://chitter.xyz/";
  spec.http.fail_if_tls = true;
  spec.http.fail_if_not_tls = true;
  spec.http.user = "me";
  spec.http.password = "secret";
  spec.http.bearer_token = "token";
  spec.tcp.steps = {{"EHLO fleet\r\n", "^220 ", true}};
  spec.tcp.expect_closed = true;
  spec.dns.name = "chitter.xyz";
  spec.dns.type = "AAAA";
  spec.dns.valid_rcodes = {"NXDOMAIN"};
  spec.dns.answer_matches = "::1";
  spec.icmp.count = 3;
  spec.icmp.payload_bytes = 56;
  spec.icmp.loss_max = 0.5;
  spec.websocket.headers = {{"Origin", "https://chitter.xyz"}};
  spec.tls.server_name = "chitter.xyz";
  spec.tls.verify = false;
  spec.tls.expires_within_fail = absl::Hours(48);
  return planned;
}

v1::PlannedProbe MessageOf(const Planned& planned) {
  v1::PlannedProbe message;
  ToProto(planned, message);
  return message;
}

TEST(PlanTest, NothingIsLostOnTheWire) {
  const v1::PlannedProbe message = MessageOf(FullPlanned());
  const absl::StatusOr<Planned> read = FromProto(message);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(MessageOf(*read).DebugString(), message.DebugString());
  EXPECT_EQ(read->spec.http.body, std::string("a\0b", 3));
  EXPECT_EQ(read->spec.http.json_rules[1].equals, std::nullopt);
  EXPECT_EQ(read->spec.tcp.steps[0].send, "EHLO fleet\r\n");
  EXPECT_EQ(read->period, absl::Seconds(30));
}

TEST(PlanTest, EveryKindHasItsName) {
  for (const Kind kind :
       {Kind::kHttp, Kind::kTcp, Kind::kTls, Kind::kIcmp, Kind::kDns, Kind::kWebSocket}) {
    Planned planned = FullPlanned();
    planned.spec.kind = kind;
    const absl::StatusOr<Planned> read = FromProto(MessageOf(planned));
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(read->spec.kind, kind);
  }
}

TEST(PlanTest, LooksAtEachFamilyByItself) {
  Planned planned = FullPlanned();
  EXPECT_THAT(FamiliesOf(planned), ElementsAre(IpFamily::kIpv4, IpFamily::kIpv6));
  planned.both_families = false;
  EXPECT_THAT(FamiliesOf(planned), ElementsAre(IpFamily::kIpv6));
}

TEST(PlanTest, RefusesWhatIsNoProbe) {
  struct Case {
    void (*spoil)(v1::PlannedProbe& message);
    const char* says;
  };
  const Case cases[] = {
      {[](v1::PlannedProbe& m) { m.set_token(""); }, "token"},
      {[](v1::PlannedProbe& m) { m.set_token("../x"); }, "token"},
      {[](v1::PlannedProbe& m) { m.set_token(std::string(33, 'a')); }, "token"},
      {[](v1::PlannedProbe& m) { m.set_period_seconds(0); }, "period"},
      {[](v1::PlannedProbe& m) { m.set_period_seconds(1e9); }, "period"},
      {[](v1::PlannedProbe& m) { m.set_period_seconds(std::numeric_limits<double>::quiet_NaN()); },
       "period"},
      {[](v1::PlannedProbe& m) { m.mutable_spec()->set_kind("exec"); }, "kind"},
      {[](v1::PlannedProbe& m) { m.mutable_spec()->set_family(5); }, "family"},
      {[](v1::PlannedProbe& m) { m.mutable_spec()->set_timeout_seconds(-1); }, "timeout"},
      {[](v1::PlannedProbe& m) { m.mutable_spec()->set_timeout_seconds(3600); }, "timeout"},
      {[](v1::PlannedProbe& m) { m.mutable_spec()->set_latency_max_seconds(1e300); }, "latency"},
      {[](v1::PlannedProbe& m) {
         m.mutable_spec()->mutable_tls()->set_expires_within_fail_seconds(-5);
       },
       "expires_within_fail"},
  };
  for (const Case& c : cases) {
    v1::PlannedProbe message = MessageOf(FullPlanned());
    c.spoil(message);
    EXPECT_THAT(FromProto(message),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)));
  }
}

TEST(PlanTest, RefusesWhatIsTooLarge) {
  Planned planned = FullPlanned();
  planned.spec.http.body = std::string(kPlannedBytesMax, 'x');
  EXPECT_THAT(FromProto(MessageOf(planned)), HasCode(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace fleet::probe
