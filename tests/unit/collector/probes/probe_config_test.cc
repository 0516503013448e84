#include "collector/probes/probe_config.h"

#include <gmock/gmock.h>

#include "collector/probes/probe_spec.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ProbeConfigTest : public ::testing::Test {
 protected:
  std::vector<ProbeCheck> Read(const std::string& yaml) {
    v1::CollectorConfig config;
    loader_.LoadText(yaml, "collector.yaml", config);
    return ReadProbes(config, loader_);
  }
  ConfigLoader loader_;
};

TEST_F(ProbeConfigTest, ReadsTheLineOfTheDesign) {
  const auto checks = Read(
      "probes: [{name: chitter.xyz, token: 1kae, url: \"https://chitter.xyz/\", vantages: all, "
      "parent: tempo}]");
  EXPECT_EQ(loader_.Problems(), "");
  ASSERT_THAT(checks, SizeIs(1));
  const ProbeCheck& check = checks[0];
  EXPECT_EQ(check.name, "chitter.xyz");
  EXPECT_EQ(check.token, "1kae");
  EXPECT_EQ(check.alias, "chitter.xyz");
  EXPECT_EQ(check.type, "https");
  EXPECT_EQ(check.module, "http_2xx");
  EXPECT_THAT(check.vantages, ElementsAre("all"));
  EXPECT_EQ(check.parent, "tempo");
  EXPECT_TRUE(check.published);
  EXPECT_TRUE(check.from_config);
  EXPECT_EQ(check.spec.kind, probe::Kind::kHttp);
  EXPECT_EQ(check.spec.target, "https://chitter.xyz/");
  EXPECT_TRUE(check.spec.http.head_first);
  EXPECT_EQ(check.spec.timeout, absl::Seconds(10));
}

TEST_F(ProbeConfigTest, DerivesWhatIsAskedFromTheUrl) {
  const auto checks = Read(R"(
probes:
- tcp://10.235.0.4:5432
- tcps://mail.chitter.xyz:465
- chitter.xyz
- dns://9.9.9.9/chitter.xyz?type=aaaa
- dns:///chitter.xyz
- wss://chitter.xyz/api/v1/streaming
- "http://user:p%40ss@chitter.xyz/x"
- 2001:db8::1
)");
  EXPECT_EQ(loader_.Problems(), "");
  ASSERT_THAT(checks, SizeIs(8));
  EXPECT_EQ(checks[0].spec.kind, probe::Kind::kTcp);
  EXPECT_EQ(checks[0].spec.target, "10.235.0.4:5432");
  EXPECT_EQ(checks[0].module, "tcp_connect");
  EXPECT_EQ(checks[1].spec.kind, probe::Kind::kTls);
  EXPECT_EQ(checks[2].spec.kind, probe::Kind::kIcmp);
  EXPECT_EQ(checks[2].type, "icmp");
  EXPECT_EQ(checks[3].spec.kind, probe::Kind::kDns);
  EXPECT_EQ(checks[3].spec.target, "9.9.9.9");
  EXPECT_EQ(checks[3].spec.dns.name, "chitter.xyz");
  EXPECT_EQ(checks[3].spec.dns.type, "AAAA");
  EXPECT_EQ(checks[4].spec.target, "");
  EXPECT_EQ(checks[5].spec.kind, probe::Kind::kWebSocket);
  EXPECT_EQ(checks[6].url, "http://chitter.xyz/x");
  EXPECT_EQ(checks[6].spec.target, "http://chitter.xyz/x");
  EXPECT_EQ(checks[6].spec.http.user, "user");
  EXPECT_EQ(checks[6].spec.http.password, "p@ss");
  EXPECT_EQ(checks[7].spec.kind, probe::Kind::kIcmp);
  std::set<std::string> tokens;
  for (const ProbeCheck& check : checks) tokens.insert(check.token);
  EXPECT_THAT(tokens, SizeIs(8));
  EXPECT_TRUE(std::all_of(tokens.begin(), tokens.end(), IsProbeToken));
}

TEST_F(ProbeConfigTest, StringMatchIsAStatusOrText) {
  const auto checks = Read(R"(
probes:
- {url: "https://a/", string_match: "404"}
- {url: "https://b/", string_match: " \n hello world\n"}
- {url: "https://c/", string_match: "301"}
- {url: "tcp://d:22", string_match: "SSH-2.0"}
)");
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_EQ(checks[0].spec.http.valid_status[0].first, 404);
  EXPECT_TRUE(checks[0].spec.http.head_first);
  EXPECT_TRUE(checks[1].spec.http.any_status);
  EXPECT_FALSE(checks[1].spec.http.head_first);
  EXPECT_EQ(checks[1].spec.http.body_contains, "hello world");
  EXPECT_EQ(checks[2].spec.http.redirects_max, 0);
  EXPECT_EQ(checks[3].spec.tcp.steps[0].expect, "SSH\\-2\\.0");
}

TEST_F(ProbeConfigTest, ReadsEveryExpectation) {
  const auto checks = Read(R"(
settings: {object: accounts/1.png}
probes:
- name: media
  url: "https://media.chitter.xyz/${object}"
  period: 30s
  apdex_t: 250ms
  ip: both
  report_headers: [upstream]
  headers: {X-From: fleet}
  certificate_days: [21, 3]
  vantages_down: 3
  notice: it works
  mute_until: forever
  expect:
    status: [200, 301-302]
    headers: {upstream: "^tempo$"}
    headers_not: {x-cache: MISS}
    body_matches: "^ok"
    json: {ok: "true", "contacts.0": "*"}
    latency: 2s
    final_url: "https://media.chitter.xyz/${object}"
    certificate: 7d
- {name: pg, url: "tcp://chitter.xyz:5432", expect: closed}
- {name: smtp, url: "tcp://mx:25", starttls: smtp, verify_tls: false}
- {name: redis, url: "tcp://r:6379", steps: [{send: "PING\r\n", expect: ""}, {expect: "PONG"}]}
- {name: dns, url: "dns:///x", expect: {answer: "1\\.2\\.3\\.4", rcodes: [NXDOMAIN]}}
- {name: backup, type: pulse, period: 26h}
- {name: database, url: "tcp://db:5432", starttls: postgres}
- {name: raw, url: "tcp://db:1", steps: [{send_hex: "00ff0a"}]}
)");
  EXPECT_EQ(loader_.Problems(), "");
  const ProbeCheck& media = checks[0];
  EXPECT_EQ(media.url, "https://media.chitter.xyz/accounts/1.png");
  EXPECT_EQ(media.apdex_t, 0.25);
  EXPECT_TRUE(media.both_families);
  EXPECT_EQ(media.custom_headers.at("X-From"), "fleet");
  EXPECT_THAT(media.certificate_days, ElementsAre(21, 3));
  EXPECT_EQ(media.vantages_down, 3);
  const probe::HttpSpec& http = media.spec.http;
  ASSERT_THAT(http.valid_status, SizeIs(2));
  EXPECT_EQ(http.valid_status[1].last, 302);
  ASSERT_THAT(http.header_rules, SizeIs(2));
  EXPECT_TRUE(http.header_rules[0].must_match);
  EXPECT_FALSE(http.header_rules[1].must_match);
  EXPECT_THAT(http.json_rules, SizeIs(2));
  EXPECT_FALSE(http.head_first);
  EXPECT_EQ(http.final_url, media.url);
  EXPECT_THAT(http.report_headers, ElementsAre("upstream"));
  EXPECT_EQ(media.spec.latency_max, absl::Seconds(2));
  EXPECT_EQ(media.spec.tls.expires_within_fail, absl::Hours(24 * 7));
  EXPECT_TRUE(checks[1].spec.tcp.expect_closed);
  EXPECT_THAT(checks[2].spec.tcp.steps, SizeIs(3));
  EXPECT_FALSE(checks[2].spec.tls.verify);
  EXPECT_EQ(checks[3].spec.tcp.steps[1].expect, "PONG");
  EXPECT_EQ(checks[4].spec.dns.answer_matches, "1\\.2\\.3\\.4");
  EXPECT_EQ(checks[5].type, "pulse");
  EXPECT_EQ(checks[6].spec.tcp.steps[0].send.size(), 8u);
  EXPECT_TRUE(checks[6].spec.tcp.steps[1].start_tls);
  EXPECT_EQ(checks[7].spec.tcp.steps[0].send, std::string("\0\xff\n", 3));
}

TEST_F(ProbeConfigTest, SaysEverythingThatIsWrongAtItsPlace) {
  Read(R"(
probes:
- {name: a, url: "ftp://x"}
- {name: a, url: "https://x", token: ABC!, period: 100ms, apdex_t: 3s, parent: "/", ip: 5}
- {name: b, url: "tcp://x"}
- {name: c, url: "https://x", expect: {status: [99], body_matches: "("}}
- {name: d, url: "tcp://x:1", report_headers: [a]}
- {name: e, url: "https://x", expect: closed}
- {name: f, url: "https://${missing}/"}
- {name: g, type: pulse, url: "https://x"}
- {name: h, url: "https://x", mute_until: soon, method: FETCH}
- {name: i, url: "dns://9.9.9.9"}
- {url: "https://x y"}
- {name: j, url: "https://x", mehtod: GET}
- {name: k, url: "tcp://x:1", steps: [{send_hex: "0g"}]}
)");
  const std::string problems = loader_.Problems();
  for (const char* expected :
       {"collector.yaml:3: probes[0].url: is invalid: expected https://",
        "collector.yaml:4: probes[1].name: another probe is called \"a\"",
        "probes[1].token: expected up to 16",
        "probes[1].period: expected 1s to 35d",
        "probes[1].apdex_t: is not included in the list (given: 3)",
        "probes[1].parent: ",
        "probes[1].ip: expected any, 4, 6 or both",
        "collector.yaml:5: probes[2].url: is invalid",
        "probes[3].expect.status: expected 200, 200-299 or any",
        "probes[3].expect.body_matches: no regular expression",
        "probes[4].report_headers: is for http and https only",
        "probes[5].expect: is for tcp only",
        "probes[6].url: settings has no \"missing\"",
        "probes[7].url: a pulse has none",
        "probes[8].mute_until: is invalid",
        "probes[8].method: is not included in the list (given: \"FETCH\")",
        "probes[9].url: is invalid: expected dns://",
        "probes[10].url: expected at most",
        "probes[11].mehtod: unknown key; did you mean \"method\"?",
        "probes[12].steps: expected pairs of hexadecimal digits, not \"0g\""}) {
    EXPECT_THAT(problems, HasSubstr(expected));
  }
}

TEST_F(ProbeConfigTest, SettingsThatAreNotSetAreNotesAndWait) {
  const auto checks = Read(R"(
settings:
  object: ""
probes:
- {name: media, url: "https://media.chitter.xyz/${object}"}
- {name: leg, url: "https://x/", expect: {final_url: "${object}"}}
- {name: other, url: "https://y/"}
)");
  EXPECT_EQ(loader_.Problems(), "");
  ASSERT_THAT(loader_.notes(), SizeIs(1));
  EXPECT_THAT(
      loader_.notes()[0].ToString(),
      AllOf(HasSubstr("collector.yaml:3: settings.object: not set"), HasSubstr("media, leg")));
  EXPECT_EQ(checks[0].unset, "settings.object is not set");
  EXPECT_EQ(checks[1].unset, "settings.object is not set");
  EXPECT_EQ(checks[2].unset, "");
}

TEST_F(ProbeConfigTest, TheProbesOfChitterWaitForWhatOnlyItsAdminKnows) {
  const std::string yaml =
      test::ReadFile(absl::StrCat(FLEET_SOURCE_DIR, "/deploy/chitter/collector.yaml"));
  std::map<std::string, ProbeCheck> by_name;
  for (ProbeCheck& check : Read(yaml)) by_name[check.name] = std::move(check);
  EXPECT_EQ(loader_.Problems(), "");
  EXPECT_THAT(loader_.notes(), SizeIs(8));
  EXPECT_EQ(by_name.at("chitter.xyz").token, "1kae");
  EXPECT_EQ(by_name.at("chitter.xyz").unset, "");
  EXPECT_EQ(by_name.at("media").token, "ljag");
  EXPECT_EQ(by_name.at("media").unset, "settings.media_host is not set");
  EXPECT_TRUE(by_name.at("Redis of tempo is closed").spec.tcp.expect_closed);
  EXPECT_NE(by_name.at("chitter.xyz/system").notice, "");
}

TEST(ProbeSpec, SpeaksToTheApiAsUpdownDoes) {
  ProbeCheck check;
  check.url = "gopher://x";
  check.apdex_t = 3;
  const auto problems = DeriveSpec(check);
  ASSERT_THAT(problems, SizeIs(2));
  EXPECT_THAT(ApiMessage(problems[0]), HasSubstr("Url is invalid"));
  EXPECT_EQ(ApiMessage(problems[1]), "Apdex t is not included in the list (given: 3)");
  check = {};
  EXPECT_EQ(ApiMessage(DeriveSpec(check)[0]), "Url can't be blank");
  check.period = absl::Seconds(45);
  EXPECT_THAT(ApiProblems(check), ElementsAre("Period is not included in the list (given: 45)"));
  check.type = "pulse";
  EXPECT_THAT(ApiProblems(check), IsEmpty());
}

TEST_F(ProbeConfigTest, ReadsModulesOfTheProbePath) {
  v1::CollectorConfig config;
  loader_.LoadText(
      "probe_modules:\n"
      "  login: {type: http, method: POST, body: x, expect: {status: ['200', '401']}}\n"
      "  plain: {type: http}\n"
      "  mx: {type: dns, url: 'dns:///chitter.xyz?type=MX', timeout: 3s, ip: 4}\n"
      "  redis: {type: tcp, steps: [{send: PING}, {expect: PONG}]}\n"
      "  ping: {type: icmp}\n",
      "collector.yaml", config);
  const auto modules = ReadProbeModules(config, loader_);
  EXPECT_EQ(loader_.Problems(), "");
  ASSERT_THAT(modules, SizeIs(5));
  EXPECT_EQ(modules.at("login").http.method, "POST");
  EXPECT_EQ(modules.at("plain").http.method, "GET");
  EXPECT_FALSE(modules.at("plain").http.head_first);
  EXPECT_EQ(modules.at("plain").family, probe::IpFamily::kIpv6);
  EXPECT_EQ(modules.at("mx").dns.name, "chitter.xyz");
  EXPECT_EQ(modules.at("mx").dns.type, "MX");
  EXPECT_EQ(modules.at("mx").timeout, absl::Seconds(3));
  EXPECT_EQ(modules.at("mx").family, probe::IpFamily::kIpv4);
  EXPECT_THAT(modules.at("redis").tcp.steps, SizeIs(2));
  for (const auto& [name, spec] : modules) EXPECT_EQ(spec.target, "") << name;
}

TEST_F(ProbeConfigTest, NamesWhatIsWrongWithAModule) {
  v1::CollectorConfig config;
  loader_.LoadText("probe_modules: {a: {method: GET}, b: {type: http, url: 'http://x/'}}",
                   "collector.yaml", config);
  ReadProbeModules(config, loader_);
  EXPECT_THAT(loader_.Problems(),
              AllOf(HasSubstr("probe_modules.a"), HasSubstr("expected a type"),
                    HasSubstr("probe_modules.b.url"), HasSubstr("a module has no url")));
}

}  // namespace
}  // namespace fleet::collector
