#include "agent/probe_policy.h"

#include <gmock/gmock.h>

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ProbePolicy PolicyOf(const std::vector<std::string>& allow) {
  absl::StatusOr<ProbePolicy> policy = ProbePolicy::Parse(allow);
  EXPECT_THAT(policy, IsOk());
  return policy.ok() ? *policy : ProbePolicy();
}

probe::Spec Http(const std::string& method, const std::string& url) {
  probe::Spec spec;
  spec.target = url;
  spec.http.method = method;
  return spec;
}

TEST(ProbePolicyTest, LetsPublicAddressesBeAndNoOthers) {
  const probe::AddressGuard guard = ProbePolicy().guard();
  EXPECT_THAT(guard("93.184.216.34", 443), IsEmpty());
  EXPECT_THAT(guard("2606:2800:220:1::1", 443), IsEmpty());
  for (const char* address : {"127.0.0.1", "10.235.0.4", "169.254.169.254", "192.168.1.1", "::1",
                              "fe80::1", "fd00::4", "::ffff:10.235.0.4", "0.0.0.0"}) {
    EXPECT_THAT(guard(address, 443), HasSubstr("probes: {allow: [\"")) << address;
  }
}

TEST(ProbePolicyTest, LetsWhatIsNamedBe) {
  const probe::AddressGuard guard =
      PolicyOf({"10.235.0.4:9000", "192.168.0.0/16", "fd00::/8", "[fc00::1]:80", "127.0.0.1"})
          .guard();
  EXPECT_THAT(guard("10.235.0.4", 9000), IsEmpty());
  EXPECT_THAT(guard("10.235.0.4", 9001), HasSubstr("10.235.0.4"));
  EXPECT_THAT(guard("10.235.0.5", 9000), HasSubstr("10.235.0.5"));
  EXPECT_THAT(guard("192.168.77.1", 1), IsEmpty());
  EXPECT_THAT(guard("fd12::1", 443), IsEmpty());
  EXPECT_THAT(guard("fc00::1", 80), IsEmpty());
  EXPECT_THAT(guard("fc00::1", 443), HasSubstr("fc00::1"));
  EXPECT_THAT(guard("127.0.0.1", 22), IsEmpty());
  EXPECT_THAT(guard("no address", 22), HasSubstr("no address"));
}

TEST(ProbePolicyTest, SendsNothingThatChangesAnything) {
  const ProbePolicy policy;
  EXPECT_THAT(policy.Refuse(Http("GET", "https://example.org/")), IsEmpty());
  EXPECT_THAT(policy.Refuse(Http("HEAD", "https://example.org/")), IsEmpty());
  EXPECT_THAT(policy.Refuse(Http("POST", "https://example.org/a")),
              HasSubstr("probes: {allow: [\"POST https://example.org/a\"]}"));
  probe::Spec body = Http("GET", "https://example.org/");
  body.http.body = "x";
  EXPECT_THAT(policy.Refuse(body), HasSubstr("body"));
  probe::Spec tcp;
  tcp.kind = probe::Kind::kTcp;
  tcp.target = "example.org:25";
  tcp.tcp.steps = {{"", "^220 ", false}};
  EXPECT_THAT(policy.Refuse(tcp), IsEmpty());
  tcp.tcp.steps.push_back({"QUIT\r\n", "", false});
  EXPECT_THAT(policy.Refuse(tcp), HasSubstr("SEND example.org:25"));
  EXPECT_THAT(PolicyOf({"SEND example.org:25"}).Refuse(tcp), IsEmpty());
  EXPECT_THAT(PolicyOf({"SEND example.org:2"}).Refuse(tcp), HasSubstr("SEND"));
}

TEST(ProbePolicyTest, AnEntryStandsForWhatIsBelowIt) {
  const ProbePolicy policy = PolicyOf({"POST https://example.org/api", "PUT https://a.example/"});
  EXPECT_THAT(policy.Refuse(Http("POST", "https://example.org/api")), IsEmpty());
  EXPECT_THAT(policy.Refuse(Http("POST", "https://example.org/api/x")), IsEmpty());
  EXPECT_THAT(policy.Refuse(Http("POST", "https://example.org/api?x")), IsEmpty());
  EXPECT_THAT(policy.Refuse(Http("PUT", "https://a.example/b")), IsEmpty());
  EXPECT_THAT(policy.Refuse(Http("POST", "https://example.org/apiary")), HasSubstr("POST"));
  EXPECT_THAT(policy.Refuse(Http("PUT", "https://example.org/api")), HasSubstr("PUT"));
  EXPECT_THAT(policy.Refuse(Http("PUT", "https://a.example.evil/")), HasSubstr("PUT"));
}

TEST(ProbePolicyTest, SaysWhatIsWrongWithAnEntry) {
  for (const char* entry :
       {"", "tempo", "10.235.0.0/33", "10.235.0.0/x", "10.235.0.4:0", "10.235.0.4:99999", "::1/129",
        "post https://example.org/", "POST example.org", "POST  https://x", "SEND example.org",
        "SEND https://example.org/", "GET"}) {
    EXPECT_THAT(ProbePolicy::Parse({entry}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected")))
        << entry;
  }
}

}  // namespace
}  // namespace fleet::agent
