// The fleet's trust with the real programs, set up as a new admin would by what the programs print.
#include <re2/re2.h>
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "collector/events.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/test_ca.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Program(absl::string_view name) { return absl::StrCat(FLEET_BIN_DIR, "/", name); }

/// Who calls: a directory with ca.pem, cert.pem and key.pem.
struct Who {
  std::string directory;
};

class TrustE2eTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Output made = RunProgram({Program("fleetctl"), "ca", "init", "--dir", dir_ / "ca",
                                    "--admin", "rado", "--collector-name", "tempo"});
    ASSERT_EQ(made.exit_code, 0) << made.text;
    // As it says, but for the places and owners of a real machine.
    EXPECT_THAT(made.text, AllOf(HasSubstr("/var/lib/fleet-collector/tls"),
                                 HasSubstr("~/.config/fleet"), HasSubstr("root/")));
    ASSERT_EQ(
        Shell(absl::StrCat("install -d -m 700 ", dir_ / "collector/tls", " && install -m 600 ",
                           dir_ / "ca", "/collector/* ", dir_ / "collector/tls"))
            .exit_code,
        0);
  }
  void TearDown() override {
    if (!HasFailure()) return;
    std::fprintf(stderr, "---- collector\n%s", CollectorLog().c_str());
  }

  void StartCollector(const std::string& more = "") {
    WriteFile(dir_ / "collector.yaml",
              absl::StrCat("grpc: {listen: \"127.0.0.1:", grpc_port_,
                           "\"}\nhttp: {listen: \"127.0.0.1:0\"}\ndata_dir: ", dir_ / "collector",
                           "\n", more));
    const std::vector<std::string> argv = {Program("fleet-collector"), "--config",
                                           dir_ / "collector.yaml"};
    std::vector<std::string> check = argv;
    check.emplace_back("--check-config");
    const Output checked = RunProgram(check);
    ASSERT_EQ(checked.exit_code, 0) << checked.text;
    std::vector<std::string> run = argv;
    run.insert(run.end(), {"--ports-file", dir_ / "ports"});
    ::unlink((dir_ / "ports").c_str());
    collector_ =
        std::make_unique<Process>(run, Process::Options{dir_ / "collector.log", {}, "", ""});
    ASSERT_TRUE(WaitFor([&] { return !ReadFile(dir_ / "ports").empty(); })) << CollectorLog();
    for (const absl::string_view line : absl::StrSplit(ReadFile(dir_ / "ports"), '\n')) {
      if (absl::StartsWith(line, "http="))
        http_ = absl::StrCat("http://127.0.0.1:", line.substr(5));
    }
  }
  std::string CollectorLog() const { return ReadFile(dir_ / "collector.log"); }
  std::string Grpc() const { return absl::StrCat("127.0.0.1:", grpc_port_); }

  Output Ctl(std::vector<std::string> arguments, const Who& who) {
    std::vector<std::string> argv = {Program("fleetctl"),
                                     "--collector",
                                     Grpc(),
                                     "--ca",
                                     who.directory + "/ca.pem",
                                     "--cert",
                                     who.directory + "/cert.pem",
                                     "--key",
                                     who.directory + "/key.pem"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return RunProgram(argv);
  }
  Output Ctl(std::vector<std::string> arguments) { return Ctl(std::move(arguments), admin_); }

  /// Lets `host` join; its agent.yaml and data_dir are named after it.
  Output Join(const std::string& host, const std::string& token) {
    WriteFile(dir_ / host + ".yaml",
              absl::StrCat("collector: ", Grpc(), "\ndata_dir: ", dir_ / host,
                           "\ninterval: 1s\necho: {enabled: false}\nchecks: {postgres: off, redis: "
                           "off, sidekiq: off, minio: off, systemd: off}\n"));
    return RunProgram({Program("fleet-agent"), "--config", dir_ / host + ".yaml", "join", token});
  }
  std::string Token(const std::string& host) {
    const Output output = Ctl({"enroll", "--quiet", host});
    EXPECT_EQ(output.exit_code, 0) << output.text;
    return output.text;
  }
  void StartAgent(const std::string& host) {
    agents_.push_back(std::make_unique<Process>(
        std::vector<std::string>{Program("fleet-agent"), "--config", dir_ / host + ".yaml"},
        Process::Options{dir_ / host + ".log", {}, "", ""}));
  }
  std::string AgentLog(const std::string& host) const { return ReadFile(dir_ / host + ".log"); }
  bool IsUp(const std::string& host) {
    const auto status = nlohmann::json::parse(Ctl({"status", "-o", "json"}).text, nullptr, false);
    if (!status.is_object()) return false;
    for (const auto& one : status["hosts"]) {
      if (one["name"] == host) return one["up"] == true;
    }
    return false;
  }
  /// Counted, logged and an event, each with the reason.
  void ExpectRefusal(const std::string& reason) {
    EXPECT_THAT(HttpGet(http_ + "/metrics/self").body,
                HasSubstr(absl::StrCat("fleet_collector_rejected_total{reason=\"", reason, "\"}")));
    EXPECT_THAT(CollectorLog(), HasSubstr(absl::StrCat("msg=\"refused\" reason=", reason)));
    const auto log = collector::EventLog::Open(dir_ / "collector/events.db", Clock::Real());
    ASSERT_THAT(log, IsOk());
    EXPECT_TRUE(WaitFor([&] {
      const auto events = (*log)->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 1000);
      for (const collector::Event& event : *events) {
        if (event.kind == "refused" && event.to == reason) return true;
      }
      return false;
    })) << "no event says "
        << reason;
  }
  Who Write(const std::string& name, const TlsIdentity& identity) {
    const std::string directory = dir_ / name;
    ::mkdir(directory.c_str(), 0700);
    WriteFile(directory + "/ca.pem", identity.ca);
    WriteFile(directory + "/cert.pem", identity.cert);
    WriteFile(directory + "/key.pem", identity.key);
    return {directory};
  }
  /// A certificate of the fleet's own issuing CA, as only its key can make.
  TlsIdentity Forge(Role role, const std::string& name, absl::Duration begin, absl::Duration end) {
    const Issuer issuer = {ReadFile(dir_ / "ca/collector/issuer.pem"),
                           ReadFile(dir_ / "ca/collector/issuer.key")};
    TestCa any;
    CertificateSpec spec = any.Spec(role, name);
    spec.not_before = absl::Now() + begin;
    spec.not_after = absl::Now() + end;
    TlsIdentity identity = any.IssueAs(spec, issuer, issuer.certificate_pem);
    identity.ca = ReadFile(dir_ / "ca/root/ca.pem");
    return identity;
  }

  TempDir dir_;
  const uint16_t grpc_port_ = FreePort();
  const Who admin_{dir_ / "ca/admin"};
  std::string http_;
  std::unique_ptr<Process> collector_;
  std::vector<std::unique_ptr<Process>> agents_;
};

TEST_F(TrustE2eTest, ANewAdminGetsAHostIntoTheFleet) {
  for (const char* file : {"ca/root/ca.key", "ca/root/ca.pem", "ca/collector/issuer.key",
                           "ca/collector/key.pem", "ca/admin/key.pem", "ca/admin/cert.pem"}) {
    struct stat info = {};
    ASSERT_EQ(::stat((dir_ / file).c_str(), &info), 0) << file;
    EXPECT_EQ(info.st_mode & 0777u, 0600u) << file;
  }
  StartCollector();
  // Before: the agent says what is missing, and what to do.
  const Output enrolled = Ctl({"enroll", "tempo"});
  ASSERT_EQ(enrolled.exit_code, 0) << enrolled.text;
  std::string token;
  ASSERT_TRUE(RE2::PartialMatch(
      enrolled.text, "fleet-agent --config /etc/fleet/agent.yaml join (fleet1\\.[A-Za-z0-9_-]+)",
      &token))
      << enrolled.text;
  const Output joined = Join("tempo", token);
  ASSERT_EQ(joined.exit_code, 0) << joined.text;
  EXPECT_THAT(joined.text,
              AllOf(HasSubstr("This host is tempo of the fleet"),
                    HasSubstr(dir_ / "tempo/tls/key.pem"), HasSubstr("start the agent")));
  struct stat info = {};
  ASSERT_EQ(::stat((dir_ / "tempo/tls/key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  StartAgent("tempo");
  EXPECT_TRUE(WaitFor([&] { return IsUp("tempo"); })) << AgentLog("tempo");
  EXPECT_THAT(Ctl({"hosts"}).text, AllOf(HasSubstr("CERTIFICATE"), HasSubstr(" d left")));
  EXPECT_THAT(Ctl({"ca", "list"}).text, AllOf(HasSubstr("agent"), HasSubstr("tempo")));

  // Another admin.
  const Output anna = Ctl({"enroll", "--admin", "anna", "--quiet"});
  const Who annas{dir_ / "anna"};
  const Output became = Ctl({"join", std::string(anna.text)}, annas);
  ASSERT_EQ(became.exit_code, 0) << became.text;
  EXPECT_THAT(became.text, HasSubstr("You are anna, admin of the fleet"));
  EXPECT_THAT(Ctl({"hosts"}, annas).text, HasSubstr("tempo"));
}

TEST_F(TrustE2eTest, AnAgentWithoutACertificateSaysWhatToDo) {
  WriteFile(dir_ / "agent.yaml",
            absl::StrCat("collector: 10.235.0.4:10235\ndata_dir: ", dir_ / "agent", "\n"));
  const Output output = RunProgram({Program("fleet-agent"), "--config", dir_ / "agent.yaml"});
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.text,
              AllOf(HasSubstr("this host has no certificate yet"), HasSubstr("fleet-agent join")));
}

TEST_F(TrustE2eTest, WhoeverKnocksIsRefusedByItsReasonAndLearnsNothing) {
  StartCollector();
  ASSERT_EQ(Join("tempo", Token("tempo")).exit_code, 0);
  StartAgent("tempo");
  ASSERT_TRUE(WaitFor([&] { return IsUp("tempo"); }));
  // What nobody outside may learn.
  const auto expect_nothing = [&](const Output& output, const std::string& reason) {
    SCOPED_TRACE(reason);
    EXPECT_EQ(output.exit_code, 4) << output.text;
    EXPECT_THAT(output.text, HasSubstr(absl::StrCat("refused (", reason, ")")));
    EXPECT_THAT(output.text, Not(HasSubstr("tempo")));
    ExpectRefusal(reason);
  };
  TlsIdentity foreign = TestCa().Issue(Role::kAdmin, "rado");
  foreign.ca = ReadFile(dir_ / "ca/root/ca.pem");
  expect_nothing(Ctl({"status"}, Write("foreign", foreign)), "unknown_ca");
  expect_nothing(Ctl({"status"}, Write("expired", Forge(Role::kAdmin, "rado", -absl::Hours(99),
                                                        -absl::Minutes(1)))),
                 "expired");
  expect_nothing(
      Ctl({"status"}, Write("early", Forge(Role::kAdmin, "rado", absl::Hours(1), absl::Hours(99)))),
      "not_yet_valid");
  expect_nothing(
      Ctl({"status"}, Write("host", Forge(Role::kAgent, "onix", -absl::Hours(1), absl::Hours(1)))),
      "wrong_role");
  // An admin's certificate where an agent's is needed.
  ::mkdir((dir_ / "mallory").c_str(), 0700);
  ASSERT_EQ(Shell(absl::StrCat("cp -r ", dir_ / "ca/admin ", dir_ / "mallory/tls")).exit_code, 0);
  WriteFile(dir_ / "mallory.yaml",
            absl::StrCat("collector: ", Grpc(), "\ndata_dir: ", dir_ / "mallory", "\n"));
  StartAgent("mallory");
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(AgentLog("mallory"), "refused (wrong_role)");
  })) << AgentLog("mallory");
  // None at all: what curl can say to it.
  const Output none = Shell(absl::StrCat(
      "curl -sk --http2-prior-knowledge -m 10 -D - -o /dev/null -X POST -H 'content-type: "
      "application/grpc' -H 'te: trailers' https://",
      Grpc(), "/fleet.v1.Fleet/Status"));
  EXPECT_THAT(none.text, HasSubstr("no_certificate"));
  EXPECT_THAT(none.text, Not(HasSubstr("tempo")));
  ExpectRefusal("no_certificate");
}

TEST_F(TrustE2eTest, ATokenOpensOnce) {
  StartCollector();
  const std::string token = Token("tempo");
  ASSERT_EQ(Join("tempo", token).exit_code, 0);
  const Output again = Join("thief", token);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.text, HasSubstr("refused (token_used)"));
  EXPECT_EQ(ReadFile(dir_ / "thief/tls/cert.pem"), "");
  ExpectRefusal("token_used");
  // The token itself is kept nowhere.
  const Output found = Shell(absl::StrCat("grep -rlF '", std::string(token.substr(0, 40)), "' ",
                                          dir_ / "collector", " ", dir_ / "collector.log"));
  EXPECT_EQ(found.text, "");
}

TEST_F(TrustE2eTest, RevocationIsAtOnceAndRetirementCanBeUndone) {
  StartCollector();
  for (const char* host : {"tempo", "parasect"}) {
    ASSERT_EQ(Join(host, Token(host)).exit_code, 0);
    StartAgent(host);
    ASSERT_TRUE(WaitFor([&] { return IsUp(host); })) << AgentLog(host);
  }
  ASSERT_EQ(Ctl({"revoke", "tempo"}).exit_code, 0);
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(AgentLog("tempo"), "refused (revoked)"); },
                      absl::Seconds(2)))
      << AgentLog("tempo");
  EXPECT_THAT(Ctl({"hosts"}).text, HasSubstr("revoked"));

  ASSERT_EQ(Ctl({"retire", "parasect"}).exit_code, 0);
  EXPECT_THAT(Ctl({"status", "-o", "json"}).text, Not(HasSubstr("parasect")));
  EXPECT_THAT(HttpGet(http_ + "/metrics").body, Not(HasSubstr("parasect")));
  EXPECT_THAT(Ctl({"hosts"}).text, HasSubstr("retired"));
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(AgentLog("parasect"), "is retired"); }))
      << AgentLog("parasect");
  ASSERT_EQ(Ctl({"retire", "--undo", "parasect"}).exit_code, 0);
  // It would try again by itself, but who is refused takes its time.
  agents_.back()->Stop();
  StartAgent("parasect");
  EXPECT_TRUE(WaitFor([&] { return IsUp("parasect"); })) << AgentLog("parasect");
  EXPECT_EQ(Ctl({"retire", "--undo", "parasect"}).exit_code, 64);
}

TEST_F(TrustE2eTest, AnAgentRenewsByItselfAndSaysWhenItIsTooLate) {
  StartCollector("trust: {test_certificate_lifetime: 6s}\n");
  ASSERT_EQ(Join("tempo", Token("tempo")).exit_code, 0);
  const std::string first = ReadFile(dir_ / "tempo/tls/cert.pem");
  StartAgent("tempo");
  EXPECT_TRUE(WaitFor([&] { return ReadFile(dir_ / "tempo/tls/cert.pem") != first; }))
      << AgentLog("tempo");
  EXPECT_TRUE(
      WaitFor([&] { return absl::StrContains(AgentLog("tempo"), "the certificate is renewed"); }));
  EXPECT_TRUE(WaitFor([&] { return IsUp("tempo"); }));
  collector_->Stop();
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(AgentLog("tempo"), "this host must join again");
  })) << AgentLog("tempo");
  StartCollector();
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(AgentLog("tempo"), "refused (expired)"); }))
      << AgentLog("tempo");
  // It joins again while it runs, and is back without a restart.
  ASSERT_EQ(Join("tempo", Token("tempo")).exit_code, 0);
}

TEST_F(TrustE2eTest, ALostAdminIsMadeAnewWhereTheIssuingKeyIs) {
  StartCollector();
  const Output made = RunProgram({Program("fleetctl"), "ca", "admin", "rado2", "--issuer",
                                  dir_ / "collector/tls", "--out", dir_ / "rado2"});
  ASSERT_EQ(made.exit_code, 0) << made.text;
  EXPECT_EQ(Ctl({"hosts"}, Who{dir_ / "rado2"}).exit_code, 0);
  EXPECT_EQ(RunProgram({Program("fleetctl"), "ca", "init", "--dir", dir_ / "ca"}).exit_code, 4)
      << "a second init would bury the first CA";
}

TEST_F(TrustE2eTest, AnotherIssuingCaTakesOverWhileEverythingRuns) {
  StartCollector();
  ASSERT_EQ(Join("tempo", Token("tempo")).exit_code, 0);
  StartAgent("tempo");
  ASSERT_TRUE(WaitFor([&] { return IsUp("tempo"); }));
  const Output made = RunProgram(
      {Program("fleetctl"), "ca", "issuing", "--dir", dir_ / "ca", "--collector-name", "tempo"});
  ASSERT_EQ(made.exit_code, 0) << made.text;
  ASSERT_EQ(
      Shell(absl::StrCat("install -m 600 ", dir_ / "ca", "/collector/* ", dir_ / "collector/tls"))
          .exit_code,
      0);
  EXPECT_TRUE(
      WaitFor([&] { return absl::StrContains(CollectorLog(), "certificates are read again"); }));
  EXPECT_TRUE(IsUp("tempo"));
  EXPECT_THAT(CollectorLog(), Not(HasSubstr("agent disconnected")));
  ASSERT_EQ(Join("parasect", Token("parasect")).exit_code, 0);
  StartAgent("parasect");
  EXPECT_TRUE(WaitFor([&] { return IsUp("parasect"); })) << AgentLog("parasect");
}

TEST_F(TrustE2eTest, OurProgramsSpeakTls13) {
  // The server's side is looked at in collector_tls_test; here the client's, which both programs
  // share.
  const std::string own = dir_ / "ca/collector";
  // It ends with its input, and the first of its two connections is the look at whether it listens.
  Process server({"sh", "-c",
                  absl::StrCat("sleep 60 | exec openssl s_server -accept ", Grpc(),
                               " -alpn h2 -brief -naccept 2 -cert ", own, "/cert.pem -cert_chain ",
                               own, "/cert.pem -key ", own, "/key.pem -verify 3")},
                 Process::Options{dir_ / "s_server.log", {}, "", ""});
  ASSERT_TRUE(WaitFor([&] { return AcceptsConnections(grpc_port_); }));
  Ctl({"status"});
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(ReadFile(dir_ / "s_server.log"), "Protocol version: TLSv1.3");
  })) << ReadFile(dir_ / "s_server.log");
}

}  // namespace
}  // namespace fleet::test
