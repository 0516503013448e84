// The fleet's trust with the real programs, set up as a new admin would by what the programs print.
#include <re2/re2.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "collector/events.h"
#include "common/join_token.h"
#include "common/x509_issue.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/test_ca.h"
#include "tests/support/web_server.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Program(absl::string_view name) { return absl::StrCat(FLEET_BIN_DIR, "/", name); }

std::vector<std::string> FilesIn(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  return files;
}

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

  /// `wrapper`: a program, with its arguments, that starts the collector.
  void StartCollector(const std::string& more = "", const std::vector<std::string>& wrapper = {}) {
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
    std::vector<std::string> run = wrapper;
    run.insert(run.end(), argv.begin(), argv.end());
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

  void WriteAgentConfig(const std::string& host) {
    WriteFile(dir_ / host + ".yaml",
              absl::StrCat("collector: ", Grpc(), "\ndata_dir: ", dir_ / host,
                           "\ninterval: 1s\necho: {enabled: false}\nchecks: {postgres: off, redis: "
                           "off, sidekiq: off, minio: off, systemd: off}\nprobes: {allow: "
                           "[\"127.0.0.1\"]}\n"));
  }
  /// Lets `host` join; its agent.yaml and data_dir are named after it.
  Output Join(const std::string& host, const std::string& token) {
    WriteAgentConfig(host);
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
  bool IsUp(const std::string& host) { return IsUp(host, admin_); }
  bool IsUp(const std::string& host, const Who& who) {
    const auto status =
        nlohmann::json::parse(Ctl({"status", "-o", "json"}, who).text, nullptr, false);
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
  /// Starts an agent with somebody's certificate and waits until its log says why it is refused.
  void ExpectAgentRefused(const std::string& host, const Who& who, const std::string& reason) {
    ::mkdir((dir_ / host).c_str(), 0700);
    ASSERT_EQ(Shell(absl::StrCat("cp -r ", who.directory, " ", dir_ / host, "/tls")).exit_code, 0);
    WriteAgentConfig(host);
    StartAgent(host);
    EXPECT_TRUE(WaitFor([&] {
      return absl::StrContains(AgentLog(host), absl::StrCat("refused (", reason, ")"));
    })) << AgentLog(host);
    agents_.pop_back();
    ExpectRefusal(reason);
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
  const auto of_fleet = [&](TlsIdentity identity) {
    identity.ca = ReadFile(dir_ / "ca/root/ca.pem");
    return identity;
  };
  expect_nothing(Ctl({"status"}, Write("foreign", of_fleet(TestCa().Issue(Role::kAdmin, "rado")))),
                 "unknown_ca");
  expect_nothing(Ctl({"status"}, Write("expired", Forge(Role::kAdmin, "rado", -absl::Hours(99),
                                                        -absl::Minutes(1)))),
                 "expired");
  expect_nothing(
      Ctl({"status"}, Write("early", Forge(Role::kAdmin, "rado", absl::Hours(1), absl::Hours(99)))),
      "not_yet_valid");
  expect_nothing(
      Ctl({"status"}, Write("host", Forge(Role::kAgent, "onix", -absl::Hours(1), absl::Hours(1)))),
      "wrong_role");
  const Who anna{dir_ / "anna"};
  ASSERT_EQ(Ctl({"join", Ctl({"enroll", "--admin", "anna", "--quiet"}).text}, anna).exit_code, 0);
  ASSERT_EQ(Ctl({"revoke", "--admin", "anna"}).exit_code, 0);
  expect_nothing(Ctl({"status"}, anna), "revoked");
  // The same as an agent, whose log has to say it.
  ExpectAgentRefused("a1", Write("a-foreign", of_fleet(TestCa().Issue(Role::kAgent, "a1"))),
                     "unknown_ca");
  ExpectAgentRefused("a2",
                     Write("a-old", Forge(Role::kAgent, "a2", -absl::Hours(99), -absl::Minutes(1))),
                     "expired");
  ExpectAgentRefused("a3",
                     Write("a-new", Forge(Role::kAgent, "a3", absl::Hours(1), absl::Hours(99))),
                     "not_yet_valid");
  ExpectAgentRefused("a4", admin_, "wrong_role");
  ASSERT_EQ(Join("a5", Token("a5")).exit_code, 0);
  const Who a5{dir_ / "a5/tls"};
  ASSERT_EQ(Ctl({"revoke", "a5"}).exit_code, 0);
  EXPECT_EQ(Ctl({"revoke", "a55"}).exit_code, 1) << "is the name right?";
  ExpectAgentRefused("a6", a5, "revoked");
  // None at all: what curl can say to it.
  const Output none = Shell(absl::StrCat(
      "curl -sk --http2-prior-knowledge -m 10 -D - -o /dev/null -X POST -H 'content-type: "
      "application/grpc' -H 'te: trailers' https://",
      Grpc(), "/fleet.v1.Fleet/Status"));
  EXPECT_THAT(none.text, HasSubstr("no_certificate"));
  EXPECT_THAT(none.text, Not(HasSubstr("tempo")));
  ExpectRefusal("no_certificate");
}

TEST_F(TrustE2eTest, ATokenOpensOnceForTenMinutesAndIsKeptNowhere) {
  StartCollector();
  const std::string token = Token("tempo");
  const std::string late = Token("late");
  ASSERT_EQ(Join("tempo", token).exit_code, 0);
  const auto expect_refused = [&](const std::string& bad, const std::string& reason) {
    const Output output = Join("thief", bad);
    EXPECT_EQ(output.exit_code, 1);
    EXPECT_THAT(output.text, HasSubstr(absl::StrCat("refused (", reason, ")")));
    EXPECT_EQ(ReadFile(dir_ / "thief/tls/cert.pem"), "");
    ExpectRefusal(reason);
  };
  expect_refused(token, "token_used");
  const auto parsed = ParseJoinToken(token);
  ASSERT_THAT(parsed, IsOk());
  JoinToken made_up = *parsed;
  made_up.secret.back() = static_cast<char>(made_up.secret.back() ^ 1);
  expect_refused(FormatJoinToken(made_up), "token_unknown");
  // No form of the secret lies anywhere; that of its hash shows that this way of looking finds.
  std::string kept = CollectorLog();
  for (const std::string& file : FilesIn(dir_ / "collector")) kept += ReadFile(file);
  EXPECT_THAT(kept, HasSubstr(absl::BytesToHexString(Sha256(parsed->secret))));
  for (const std::string& form :
       {parsed->secret, absl::BytesToHexString(parsed->secret),
        absl::Base64Escape(parsed->secret).substr(0, 20),
        absl::WebSafeBase64Escape(parsed->secret).substr(0, 20), token.substr(0, 30)}) {
    EXPECT_EQ(kept.find(form), std::string::npos) << absl::BytesToHexString(form);
  }
#ifndef __SANITIZE_ADDRESS__  // it and libfaketime both want to be loaded first
  // Eleven minutes later by the collector's clock.
  collector_->Stop();
  StartCollector("", {"faketime", "-f", "+11m"});
  expect_refused(late, "token_expired");
#endif
}

TEST_F(TrustE2eTest, RevocationIsAtOnce) {
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
  // A host that joins anew while it runs: other files under the agent, and it goes on with them.
  EXPECT_TRUE(IsUp("parasect"));
  ASSERT_EQ(Join("parasect", Token("parasect")).exit_code, 0);
  EXPECT_TRUE(WaitFor(
      [&] {
        const std::string log = AgentLog("parasect");
        const size_t lost = log.find("refused (revoked)");  // that was the former certificate
        return lost != std::string::npos &&
               log.find("msg=\"connected\"", lost) != std::string::npos;
      },
      absl::Seconds(15)))
      << AgentLog("parasect");
  EXPECT_TRUE(WaitFor([&] { return IsUp("parasect"); }));
}

TEST_F(TrustE2eTest, RetirementTakesAHostOutAndCanBeUndone) {
  if (!WebServer::Available()) GTEST_SKIP() << "nginx is not installed";
  WebServer site;
  ASSERT_TRUE(site.Serve("return 200 hello;"));
  StartCollector(absl::StrCat("probes:\n  - {name: site, token: site, url: \"", site.url(),
                              "\", period: 1s, vantages: [tempo, parasect]}\n"));
  for (const char* host : {"tempo", "parasect"}) {
    ASSERT_EQ(Join(host, Token(host)).exit_code, 0);
    StartAgent(host);
  }
  const auto looks = [&](const std::string& host) {
    return absl::StrContains(HttpGet(http_ + "/metrics").body,
                             absl::StrCat("vantage=\"", host, "\"}"));
  };
  for (const char* host : {"tempo", "parasect"}) {
    ASSERT_TRUE(WaitFor([&] { return IsUp(host) && looks(host); })) << AgentLog(host);
  }
  EXPECT_EQ(Ctl({"retire", "tpyo"}).exit_code, 64);  // nobody of that name
  ASSERT_EQ(Ctl({"retire", "parasect"}).exit_code, 0);
  // At once: no series of it, none of probes by it, not in the status; its history answers.
  const std::string metrics = HttpGet(http_ + "/metrics").body;
  EXPECT_THAT(metrics, Not(HasSubstr("parasect")));
  EXPECT_THAT(metrics, HasSubstr("probe_success"));
  EXPECT_THAT(Ctl({"status", "-o", "json"}).text, Not(HasSubstr("parasect")));
  EXPECT_THAT(Ctl({"hosts"}).text, HasSubstr("retired"));
  const Output history = Ctl({"history", "parasect", "node_load1", "--since", "10m", "-o", "csv"});
  EXPECT_EQ(history.exit_code, 0) << history.text;
  EXPECT_THAT(history.text, HasSubstr("Z,\"\",")) << "nothing of what it reported";
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(AgentLog("parasect"), "is retired"); }))
      << AgentLog("parasect");
  EXPECT_THAT(HttpGet(http_ + "/metrics").body, Not(HasSubstr("parasect")));

  ASSERT_EQ(Ctl({"retire", "--undo", "parasect"}).exit_code, 0);
  // It would try again by itself, but who is refused takes its time.
  agents_.back()->Stop();
  StartAgent("parasect");
  EXPECT_TRUE(WaitFor([&] { return IsUp("parasect") && looks("parasect"); }))
      << AgentLog("parasect");
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
  // It joins again while it runs, and is back without a restart and without a refusal's pause.
  ASSERT_EQ(Join("tempo", Token("tempo")).exit_code, 0);
  EXPECT_TRUE(WaitFor([&] { return IsUp("tempo"); }, absl::Seconds(15))) << AgentLog("tempo");
}

TEST_F(TrustE2eTest, ALostAdminIsMadeAnewWhereTheIssuingKeyIs) {
  StartCollector();
  const Output made = RunProgram({Program("fleetctl"), "ca", "admin", "rado2", "--issuer",
                                  dir_ / "collector/tls", "--out", dir_ / "rado2"});
  ASSERT_EQ(made.exit_code, 0) << made.text;
  EXPECT_EQ(Ctl({"hosts"}, Who{dir_ / "rado2"}).exit_code, 0);
  EXPECT_EQ(RunProgram({Program("fleetctl"), "ca", "init", "--dir", dir_ / "ca"}).exit_code, 4)
      << "a second init would bury the first CA";
  const Output named = RunProgram(
      {Program("fleetctl"), "ca", "init", "--dir", dir_ / "ca-2", "--admin", std::string(65, 'x')});
  EXPECT_THAT(named.text, HasSubstr("at most 64 bytes"));
  EXPECT_NE(Shell("ls " + (dir_ / "ca-2")).exit_code, 0) << "half a CA was left";
}

TEST_F(TrustE2eTest, AnotherIssuingCaTakesOverWhileEverythingRunsAndTheFormerOneIsRevoked) {
  StartCollector();
  ASSERT_EQ(Join("tempo", Token("tempo")).exit_code, 0);
  StartAgent("tempo");
  ASSERT_TRUE(WaitFor([&] { return IsUp("tempo"); }));
  const Output made = RunProgram(
      {Program("fleetctl"), "ca", "issuing", "--dir", dir_ / "ca", "--collector-name", "tempo"});
  ASSERT_EQ(made.exit_code, 0) << made.text;
  std::string former;
  ASSERT_TRUE(RE2::PartialMatch(made.text, "fleetctl revoke ([0-9a-f]{16,})", &former))
      << made.text;
  // While the former one still issues, its end would be everybody's.
  EXPECT_THAT(Ctl({"revoke", former}).text, HasSubstr("the CA that issues here now"));
  ASSERT_EQ(
      Shell(absl::StrCat("install -m 600 ", dir_ / "ca", "/collector/* ", dir_ / "collector/tls"))
          .exit_code,
      0);
  EXPECT_TRUE(WaitFor([&] {
    return absl::StrContains(Ctl({"events"}).text, "the former one was " + former);
  })) << CollectorLog();
  EXPECT_TRUE(IsUp("tempo"));
  EXPECT_THAT(CollectorLog(), Not(HasSubstr("agent disconnected")));
  ASSERT_EQ(Join("parasect", Token("parasect")).exit_code, 0);
  StartAgent("parasect");
  EXPECT_TRUE(WaitFor([&] { return IsUp("parasect"); })) << AgentLog("parasect");

  // Its key was stolen: in the order that the program says.
  EXPECT_THAT(Ctl({"revoke", former}).text, HasSubstr("fleetctl ca admin rado"));
  const Output again = RunProgram({Program("fleetctl"), "ca", "admin", "rado", "--issuer",
                                   dir_ / "collector/tls", "--out", dir_ / "rado"});
  ASSERT_EQ(again.exit_code, 0) << again.text;
  const Who rado{dir_ / "rado"};
  ASSERT_EQ(Ctl({"revoke", former}, rado).exit_code, 0);
  EXPECT_THAT(Ctl({"status"}).text, HasSubstr("refused (revoked)"));
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(AgentLog("tempo"), "refused (revoked)"); }))
      << AgentLog("tempo");
  const Output token = Ctl({"enroll", "--quiet", "tempo"}, rado);
  ASSERT_EQ(Join("tempo", token.text).exit_code, 0);
  EXPECT_TRUE(WaitFor([&] { return IsUp("tempo", rado); }, absl::Seconds(15))) << AgentLog("tempo");
  EXPECT_TRUE(IsUp("parasect", rado));
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
