// How hosts and admins get, keep and lose their certificates, over the wire.
#include "collector/trust.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "collector/collector.h"
#include "common/client_credentials.h"
#include "fleet/v1/fleet.grpc.pb.h"
#include "fleet/v1/trust.grpc.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_agent.h"
#include "tests/support/test_ca.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::fleet::test::StatusIs;
using ::fleet::test::TestAgent;
using ::fleet::test::TestCa;
using ::fleet::test::TlsIdentity;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;
using ::testing::HasSubstr;
using ::testing::Not;

class TrustTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const TlsIdentity own = ca_.Issue(Role::kCollector, "collector");
    WriteFile(dir_ / "ca.pem", own.ca);
    WriteFile(dir_ / "cert.pem", own.cert);
    WriteFile(dir_ / "key.pem", own.key);
    Start();
  }
  void Start() {
    collector_.reset();
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.data_dir = dir_ / "data";
    options.connections.handshakes_per_second = 1e6;
    options.connections.handshakes_burst = 1e6;
    options.trust.emplace();
    options.trust->tls = {test::ReadFile(dir_ / "ca.pem"), test::ReadFile(dir_ / "cert.pem"),
                          test::ReadFile(dir_ / "key.pem")};
    options.trust->paths = {dir_ / "ca.pem", dir_ / "cert.pem", dir_ / "key.pem", "", ""};
    if (with_issuer_) options.trust->issuer = ca_.issuing();
    auto started = Collector::Start(std::move(options), clock_);
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }

  std::shared_ptr<grpc::Channel> Channel(const ClientTls& tls) {
    const auto credentials = CollectorCredentials(tls, clock_);
    EXPECT_THAT(credentials, IsOk());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(collector_->grpc_address().ToString(), *credentials,
                                     arguments);
  }
  static ClientTls With(const TlsIdentity& tls) { return {tls.ca, "", tls.cert, tls.key}; }

  /// One call of Trust.
  template <typename Request, typename Reply>
  absl::Status Call(const ClientTls& tls,
                    grpc::Status (v1::Trust::Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Reply*),
                    const Request& request, Reply* reply) {
    const auto stub = v1::Trust::NewStub(Channel(tls));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const grpc::Status status = (stub.get()->*method)(&context, request, reply);
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  absl::StatusOr<v1::EnrollReply> Enroll(const std::string& name,
                                         const std::string& role = "agent") {
    v1::EnrollRequest request;
    request.set_name(name);
    request.set_role(role);
    v1::EnrollReply reply;
    const absl::Status status = Call(With(admin_), &v1::Trust::Stub::Enroll, request, &reply);
    if (!status.ok()) return status;
    return reply;
  }
  absl::StatusOr<TlsIdentity> Join(const v1::EnrollReply& token) {
    TlsIdentity identity;
    identity.key = MakeKey();
    v1::JoinRequest request;
    request.set_token(token.token());
    request.set_request(*MakeRequest(identity.key, "whatever"));
    v1::JoinReply reply;
    const absl::Status status =
        Call({"", token.pin(), "", ""}, &v1::Trust::Stub::Join, request, &reply);
    if (!status.ok()) return status;
    identity.cert = reply.certificate();
    identity.ca = reply.ca();
    return identity;
  }
  TlsIdentity Member(const std::string& host) {
    const auto joined = Join(*Enroll(host));
    EXPECT_THAT(joined, IsOk());
    return joined.ok() ? *joined : TlsIdentity();
  }
  absl::Status Revoke(const std::string& name, const std::string& serial = "") {
    v1::RevokeRequest request;
    if (serial.empty()) request.set_role("agent");
    request.set_name(name);
    request.set_serial(serial);
    v1::RevokeReply reply;
    return Call(With(admin_), &v1::Trust::Stub::Revoke, request, &reply);
  }
  absl::Status Retire(const std::string& host, bool undo = false) {
    v1::RetireRequest request;
    request.set_host(host);
    request.set_undo(undo);
    v1::RetireReply reply;
    return Call(With(admin_), &v1::Trust::Stub::Retire, request, &reply);
  }
  TestAgent::Options Agent(const TlsIdentity& tls) {
    return {.port = collector_->grpc_address().port, .host = "", .tls = tls, .clock = &clock_};
  }
  /// Two months, after which a member's certificate is renewed; the collector's and the admin's
  /// are.
  void AdvanceToRenewal(const TlsIdentity& member) {
    clock_.Advance(absl::Hours(24 * 60));
    admin_ = ca_.Issue(Role::kAdmin, "rado", absl::ZeroDuration(), absl::Hours(24 * 100));
    EXPECT_TRUE(test::WaitFor([&] {
      clock_.Advance(Trust::kRefreshEvery);
      return TryAgent(member).ok();
    }));
  }
  absl::Status TryAgent(const TlsIdentity& tls) {
    TestAgent agent(Agent(tls));
    return agent.Connect();
  }
  std::string SelfMetrics() {
    return test::HttpGet(collector_->http_address().port, "/metrics/self").body;
  }

  test::TempDir dir_;
  test::FakeClock clock_;
  TestCa ca_{clock_.Now()};
  TlsIdentity admin_ = ca_.Issue(Role::kAdmin, "rado");
  bool with_issuer_ = true;
  std::unique_ptr<Collector> collector_;
};

TEST_F(TrustTest, AHostJoinsWithATokenAndReports) {
  const auto token = Enroll("tempo");
  ASSERT_THAT(token, IsOk());
  EXPECT_EQ(token->collector(), collector_->grpc_address().ToString());
  EXPECT_EQ(token->pin(), ReadCertificate(ca_.ca())->fingerprint);
  const auto tempo = Join(*token);
  ASSERT_THAT(tempo, IsOk());
  EXPECT_EQ(tempo->ca, ca_.ca());
  const auto facts = ReadCertificate(tempo->cert);
  EXPECT_EQ(facts->name, "tempo");
  EXPECT_EQ(facts->role, Role::kAgent);
  EXPECT_EQ(facts->not_before, clock_.Now() - absl::Hours(48));
  EXPECT_EQ(facts->not_after, clock_.Now() + absl::Hours(24 * 90));
  TestAgent agent(Agent(*tempo));
  v1::Welcome welcome;
  ASSERT_THAT(agent.Connect(&welcome), IsOk());
  EXPECT_EQ(welcome.host(), "tempo");
}

TEST_F(TrustTest, AnAdminJoinsToo) {
  const auto token = Enroll("anna", "admin");
  ASSERT_THAT(token, IsOk());
  const auto anna = Join(*token);
  ASSERT_THAT(anna, IsOk());
  v1::CertificatesReply reply;
  EXPECT_THAT(Call(With(*anna), &v1::Trust::Stub::Certificates, v1::CertificatesRequest(), &reply),
              IsOk());
  EXPECT_THAT(Enroll("collector", "collector"), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Enroll("../tempo"), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(TrustTest, ATokenIsGoodOnceForTenMinutesAndAcrossARestart) {
  const auto used = Enroll("tempo");
  const auto kept = Enroll("parasect");
  const auto late = Enroll("late");
  ASSERT_THAT(Join(*used), IsOk());
  Start();
  EXPECT_THAT(Join(*used),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("refused (token_used)")));
  ASSERT_THAT(Join(*kept), IsOk());
  clock_.Advance(TrustStore::kTokenLife);
  EXPECT_THAT(Join(*late),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("refused (token_expired)")));
  v1::EnrollReply made_up = *late;
  made_up.set_token("0123456789abcdef");
  EXPECT_THAT(Join(made_up),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("refused (token_unknown)")));
  for (const char* reason : {"token_used", "token_expired", "token_unknown"}) {
    EXPECT_THAT(SelfMetrics(),
                HasSubstr(absl::StrCat("rejected_total{reason=\"", reason, "\"} 1")));
  }
}

TEST_F(TrustTest, ATokenIsNotUsedUpByABadRequest) {
  const auto token = Enroll("tempo");
  v1::JoinRequest request;
  request.set_token(token->token());
  request.set_request("nonsense");
  v1::JoinReply reply;
  EXPECT_THAT(Call({"", token->pin(), "", ""}, &v1::Trust::Stub::Join, request, &reply),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Join(*token), IsOk());
}

TEST_F(TrustTest, WhoHasNotTheRightCaIsNotShownTheToken) {
  v1::EnrollReply token = *Enroll("tempo");
  token.set_pin(ReadCertificate(TestCa(clock_.Now()).ca())->fingerprint);
  EXPECT_THAT(Join(token), StatusIs(absl::StatusCode::kUnavailable,
                                    HasSubstr("does not have the CA that the token names")));
}

TEST_F(TrustTest, GuessingTokensIsSlow) {
  v1::EnrollReply made_up = *Enroll("tempo");
  made_up.set_token("0123456789abcdef");
  int limited = 0;
  for (int i = 0; i < Trust::kJoinsBurst + 5; ++i) {
    if (absl::IsResourceExhausted(Join(made_up).status())) ++limited;
  }
  EXPECT_EQ(limited, 5);
  EXPECT_THAT(SelfMetrics(), HasSubstr("rejected_total{reason=\"token_rate\"} 5"));
}

TEST_F(TrustTest, JoiningAgainEndsTheFormerCertificate) {
  const TlsIdentity first = Member("tempo");
  TestAgent agent(Agent(first));
  ASSERT_THAT(agent.Connect(), IsOk());
  const TlsIdentity second = Member("tempo");
  EXPECT_THAT(agent.WaitForEnd(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("refused (revoked)")));
  EXPECT_THAT(TryAgent(first), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(TryAgent(second), IsOk());
}

TEST_F(TrustTest, RevocationClosesStreamsAtOnceAndOutlivesARestart) {
  const TlsIdentity tempo = Member("tempo");
  const TlsIdentity parasect = Member("parasect");
  TestAgent agent(Agent(tempo));
  TestAgent other(Agent(parasect));
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(other.Connect(), IsOk());
  ASSERT_THAT(Revoke("tempo"), IsOk());
  EXPECT_THAT(agent.WaitForEnd(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("refused (revoked)")));
  EXPECT_THAT(TryAgent(tempo), HasCode(absl::StatusCode::kUnauthenticated));
  // Without waiting for the ack: the clock of these tests stands, and with it the journal's group.
  EXPECT_THAT(other.SendMessage(other.Encode(MakeReport("disk", 1)), false), IsOk());
  EXPECT_THAT(Revoke("tempo"), IsOk());
  Start();
  EXPECT_THAT(TryAgent(tempo), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(SelfMetrics(), HasSubstr("rejected_total{reason=\"revoked\"} 1"));
}

TEST_F(TrustTest, ASerialIsEnoughEvenOfACertificateThatWasNeverSeen) {
  const TlsIdentity offline = ca_.Issue(Role::kAgent, "tempo");
  std::string serial = ReadCertificate(offline.cert)->serial;
  ASSERT_THAT(Revoke("", absl::AsciiStrToUpper(serial)), IsOk());
  EXPECT_THAT(TryAgent(offline), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(Revoke("", "nonsense"), HasCode(absl::StatusCode::kInvalidArgument));
  // A whole CA as well.
  CertificateSpec spec = ca_.Spec(Role::kAgent, "unused");
  spec.common_name = "former issuing CA";
  spec.role.reset();
  spec.ca_path_length = 0;
  Issuer former;
  former.key_pem = MakeKey();
  former.certificate_pem = *IssueCertificate(*PublicKeyOfKey(former.key_pem), spec, ca_.root());
  const TlsIdentity parasect =
      ca_.IssueAs(ca_.Spec(Role::kAgent, "parasect"), former, former.certificate_pem);
  ASSERT_THAT(TryAgent(parasect), IsOk());
  ASSERT_THAT(Revoke("", ReadCertificate(former.certificate_pem)->serial), IsOk());
  EXPECT_THAT(TryAgent(parasect), HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(TrustTest, TheCaThatEverybodyStandsOnCannotBeRevokedByMistake) {
  const std::string issuing = ReadCertificate(ca_.issuing().certificate_pem)->serial;
  EXPECT_THAT(Revoke("", issuing),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("issues here now")));
  EXPECT_THAT(
      Revoke("", ReadCertificate(ca_.ca())->serial),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the CA of your own certificate")));
  EXPECT_THAT(Enroll("tempo"), IsOk());
}

TEST_F(TrustTest, ARevokedAdminSeesNothingMore) {
  const auto anna = Join(*Enroll("anna", "admin"));
  const auto stub = v1::Fleet::NewStub(Channel(With(*anna)));
  grpc::ClientContext context;
  v1::StatusRequest request;
  request.set_watch(true);
  const auto reader = stub->Status(&context, request);
  v1::StatusReply reply;
  ASSERT_TRUE(reader->Read(&reply));
  ASSERT_THAT(Revoke("", ReadCertificate(anna->cert)->serial), IsOk());
  while (reader->Read(&reply)) {
  }
  EXPECT_THAT(reader->Finish().error_message(), HasSubstr("refused (revoked)"));
}

TEST_F(TrustTest, ARetiredHostIsGoneUntilItIsTakenBackOrEnrolledAgain) {
  const TlsIdentity tempo = Member("tempo");
  TestAgent agent(Agent(tempo));
  ASSERT_THAT(agent.Connect(), IsOk());
  ASSERT_THAT(agent.SendMessage(agent.Encode(MakeReport("disk", 1)), false), IsOk());
  const auto early = Enroll("tempo");
  ASSERT_THAT(Retire("tempo"), IsOk());
  EXPECT_THAT(agent.WaitForEnd(), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_FALSE(collector_->state().Knows("tempo"));
  EXPECT_THAT(TryAgent(tempo), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(Join(*early), HasCode(absl::StatusCode::kPermissionDenied));
  Start();
  EXPECT_THAT(TryAgent(tempo), HasCode(absl::StatusCode::kUnauthenticated));

  clock_.Advance(TrustStore::kUndoTime);
  ASSERT_THAT(Retire("tempo", true), IsOk());
  EXPECT_THAT(TryAgent(tempo), IsOk());
  EXPECT_THAT(Retire("tempo", true), HasCode(absl::StatusCode::kNotFound));

  ASSERT_THAT(Retire("tempo"), IsOk());
  clock_.Advance(TrustStore::kUndoTime + absl::Seconds(1));
  EXPECT_THAT(Retire("tempo", true), HasCode(absl::StatusCode::kFailedPrecondition));
  const TlsIdentity again = Member("tempo");
  EXPECT_THAT(TryAgent(again), IsOk());
  EXPECT_THAT(TryAgent(tempo), HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(TrustTest, UndoDoesNotRestoreWhatWasRevokedBefore) {
  const TlsIdentity stolen = Member("tempo");
  ASSERT_THAT(Revoke("tempo"), IsOk());
  ASSERT_THAT(Retire("tempo"), IsOk());
  ASSERT_THAT(Retire("tempo", true), IsOk());
  EXPECT_THAT(TryAgent(stolen), HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(TrustTest, RenewsForTheSameKeyAndName) {
  const TlsIdentity tempo = Member("tempo");
  v1::RenewReply reply;
  EXPECT_THAT(Call(With(tempo), &v1::Trust::Stub::Renew, v1::RenewRequest(), &reply),
              HasCode(absl::StatusCode::kFailedPrecondition))
      << "it is good for three months";
  AdvanceToRenewal(tempo);
  TlsIdentity renewed = tempo;
  ASSERT_THAT(Call(With(tempo), &v1::Trust::Stub::Renew, v1::RenewRequest(), &reply), IsOk());
  renewed.cert = reply.certificate();
  EXPECT_THAT(CheckKeyPair(renewed.cert, renewed.key), IsOk());
  EXPECT_EQ(ReadCertificate(renewed.cert)->name, "tempo");
  EXPECT_EQ(ReadCertificate(renewed.cert)->role, Role::kAgent);
  EXPECT_EQ(ReadCertificate(renewed.cert)->not_after, clock_.Now() + absl::Hours(24 * 90));
  // Both are revoked by the name.
  ASSERT_THAT(Revoke("tempo"), IsOk());
  EXPECT_THAT(TryAgent(renewed), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(TryAgent(tempo), HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(Call(With(renewed), &v1::Trust::Stub::Renew, v1::RenewRequest(), &reply),
              HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(TrustTest, AMemberThatRenewsWithoutEndIsInNobodysWay) {
  const TlsIdentity tempo = Member("tempo");
  AdvanceToRenewal(tempo);
  v1::RenewReply reply;
  int renewed = 0;
  for (int i = 0; i < 20; ++i) {
    renewed += Call(With(tempo), &v1::Trust::Stub::Renew, v1::RenewRequest(), &reply).ok() ? 1 : 0;
  }
  EXPECT_EQ(renewed, Trust::kRenewalsPerHour);
  EXPECT_THAT(SelfMetrics(),
              HasSubstr("fleet_collector_rejected_total{reason=\"renewal_rate\"} 14"));
  EXPECT_THAT(Enroll("parasect"), IsOk());
}

TEST_F(TrustTest, ListsWhoHasWhichCertificate) {
  Member("tempo");
  Member("parasect");
  ASSERT_THAT(Revoke("parasect"), IsOk());
  EXPECT_THAT(Retire("onix"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("no host onix")));
  Member("onix");
  ASSERT_THAT(Retire("onix"), IsOk());
  v1::CertificatesReply reply;
  std::vector<std::string> lines;
  // The admin's own is noted in the background.
  EXPECT_TRUE(WaitFor([&] {
    lines.clear();
    EXPECT_THAT(
        Call(With(admin_), &v1::Trust::Stub::Certificates, v1::CertificatesRequest(), &reply),
        IsOk());
    for (const v1::Certificate& one : reply.certificates()) {
      lines.push_back(absl::StrCat(one.role(), " ", one.name(), one.revoked() ? " revoked" : ""));
    }
    return lines.size() == 4;
  }));
  EXPECT_THAT(lines, ::testing::ElementsAre("admin rado", "agent onix revoked",
                                            "agent parasect revoked", "agent tempo"));
  ASSERT_EQ(reply.retired_size(), 1);
  EXPECT_EQ(reply.retired(0).name(), "onix");
}

TEST_F(TrustTest, WithoutAnIssuingKeyNobodyIsEnrolled) {
  with_issuer_ = false;
  Start();
  EXPECT_THAT(Enroll("tempo"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("issuer_key")));
}

/// What the server presents to a new connection.
class ReloadTest : public TrustTest {
 protected:
  std::string Presented() {
    return test::Shell(
               absl::StrCat("openssl s_client -connect 127.0.0.1:", collector_->grpc_address().port,
                            " -alpn h2 </dev/null 2>/dev/null | openssl x509 -noout "
                            "-serial | tr A-F a-f"))
        .text;
  }
  void Write(const TlsIdentity& own, const std::string& ca) {
    WriteFile(dir_ / "ca.pem", ca);
    WriteFile(dir_ / "cert.pem", own.cert);
    WriteFile(dir_ / "key.pem", own.key);
  }
  /// Lets the files be looked at until `ready`.
  bool After(const std::function<bool()>& ready) {
    return WaitFor([&] {
      clock_.Advance(Trust::kRefreshEvery);
      return ready();
    });
  }
};

TEST_F(ReloadTest, TakesNewFilesOverWithStreamsKept) {
  TestAgent agent(Agent(Member("tempo")));
  ASSERT_THAT(agent.Connect(), IsOk());
  const TlsIdentity next = ca_.Issue(Role::kCollector, "collector");
  // Key and certificate come one after the other; in between they do not fit.
  WriteFile(dir_ / "key.pem", next.key);
  clock_.Advance(Trust::kRefreshEvery);
  EXPECT_THAT(agent.SendMessage(agent.Encode(MakeReport("disk", 1)), false), IsOk());
  WriteFile(dir_ / "cert.pem", next.cert);
  const std::string serial = ReadCertificate(next.cert)->serial;
  EXPECT_TRUE(After([&] { return absl::StrContains(Presented(), serial); })) << Presented();
  EXPECT_THAT(agent.SendMessage(agent.Encode(MakeReport("disk", 2)), false), IsOk());
}

TEST_F(ReloadTest, RotatesTheRoot) {
  const TlsIdentity tempo = Member("tempo");
  TestAgent agent(Agent(tempo));
  ASSERT_THAT(agent.Connect(), IsOk());
  const TestCa next(clock_.Now());
  TlsIdentity own = next.Issue(Role::kCollector, "collector");
  // Both roots are believed for a while; the collector already has a certificate of the new one.
  Write(own, next.ca() + ca_.ca());
  const std::string serial = ReadCertificate(own.cert)->serial;
  EXPECT_TRUE(After([&] { return absl::StrContains(Presented(), serial); }));
  EXPECT_THAT(agent.SendMessage(agent.Encode(MakeReport("disk", 1)), false), IsOk());
  TlsIdentity both = tempo;
  both.ca = next.ca() + ca_.ca();
  EXPECT_THAT(TryAgent(both), IsOk());
  EXPECT_THAT(TryAgent(next.Issue(Role::kAgent, "parasect")), IsOk());
  // Then only the new one.
  Write(own, next.ca());
  EXPECT_TRUE(After([&] { return !TryAgent(both).ok(); }));
}

TEST_F(ReloadTest, TheOwnCertificateIsRenewedBeforeItEnds) {
  const std::string before = Presented();
  clock_.Advance(absl::Hours(24 * 25));
  EXPECT_TRUE(After([&] { return Presented() != before; }));
  // The file too, so that the next start has it.
  const auto facts = ReadCertificate(test::ReadFile(dir_ / "cert.pem"));
  ASSERT_THAT(facts, IsOk());
  EXPECT_EQ(facts->name, "collector");
  EXPECT_GT(facts->not_after, clock_.Now() + absl::Hours(24 * 80));
  EXPECT_THAT(CheckKeyPair(test::ReadFile(dir_ / "cert.pem"), test::ReadFile(dir_ / "key.pem")),
              IsOk());
}

TEST_F(ReloadTest, ACollectorThatSleptPastItsEndRenewsItselfAtItsStart) {
  clock_.Advance(absl::Hours(24 * 40));
  Start();
  EXPECT_THAT(TryAgent(ca_.Issue(Role::kAgent, "tempo", absl::ZeroDuration(), absl::Hours(9999))),
              IsOk());
}

}  // namespace
}  // namespace fleet::collector
