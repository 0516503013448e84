// Who is let in: every method of every service, with every kind of bad certificate.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "collector/collector.h"
#include "collector/trust.h"
#include "common/client_credentials.h"
#include "common/segment/encoder.h"
#include "fleet/v1/announce.grpc.pb.h"
#include "fleet/v1/fleet.grpc.pb.h"
#include "fleet/v1/history.grpc.pb.h"
#include "fleet/v1/ingest.grpc.pb.h"
#include "fleet/v1/keys.grpc.pb.h"
#include "fleet/v1/trust.grpc.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fleet_processes.h"
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
using ::fleet::test::MetricIn;
using ::fleet::test::StatusIs;
using ::fleet::test::TestAgent;
using ::fleet::test::TestCa;
using ::fleet::test::TlsIdentity;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// "/fleet.v1.Ingest/Upload" of every method that the programs have.
std::vector<std::string> AllMethods() {
  // So that the linker keeps the descriptors, and they are known to the pool.
  v1::StatusRequest::descriptor();
  v1::Hello::descriptor();
  v1::JoinRequest::descriptor();
  v1::AnnouncePostRequest::descriptor();
  v1::NewKeyRequest::descriptor();
  v1::SeriesRequest::descriptor();
  std::vector<std::string> methods;
  for (const char* name : {"fleet.v1.Ingest", "fleet.v1.Fleet", "fleet.v1.Trust",
                           "fleet.v1.Announce", "fleet.v1.Keys", "fleet.v1.History"}) {
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    EXPECT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back(absl::StrCat("/", name, "/", service->method(i)->name()));
    }
  }
  return methods;
}

class CollectorTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.data_dir = DataDir();
    options.connections.handshakes_per_second = 1e6;
    options.connections.handshakes_burst = 1e6;
    options.connections.per_address = 1000;
    const TlsIdentity own = ca_.Issue(Role::kCollector, "collector");
    options.trust.emplace();
    options.trust->tls = TlsTexts{own.ca, own.cert, own.key};
    options.trust->issuer = ca_.issuing();
    auto started = Collector::Start(std::move(options), clock_);
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }
  /// Where it keeps things; empty: nowhere.
  virtual std::string DataDir() { return ""; }
  TestAgent::Options Agent(const std::string& host, const TlsIdentity& tls) {
    return {.port = collector_->grpc_address().port, .host = host, .tls = tls, .clock = &clock_};
  }
  std::shared_ptr<grpc::Channel> Channel(const TlsIdentity& tls, int window_bytes = 64 << 10) {
    const auto credentials = CollectorCredentials({tls.ca, "", tls.cert, tls.key}, clock_);
    EXPECT_THAT(credentials, IsOk());
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, window_bytes);
    return grpc::CreateCustomChannel(collector_->grpc_address().ToString(), *credentials,
                                     arguments);
  }
  /// Calls any method with an empty message; what came back before the end goes to `reply`.
  grpc::Status Call(const TlsIdentity& tls, const std::string& method, std::string& reply) {
    grpc::GenericStub stub(Channel(tls));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(&context, method, &queue);
    void* tag = nullptr;
    bool ok = false;
    const auto step = [&] { queue.Next(&tag, &ok); };
    call->StartCall(nullptr);
    step();
    grpc::ByteBuffer nothing;
    call->WriteLast(nothing, grpc::WriteOptions(), nullptr);
    step();
    grpc::ByteBuffer received;
    call->Read(&received, nullptr);
    step();
    if (ok) reply = absl::StrCat(received.Length(), " bytes");
    for (const auto& [key, value] : context.GetServerInitialMetadata()) {
      reply += std::string(key.data(), key.size());
    }
    grpc::Status status;
    call->Finish(&status, nullptr);
    step();
    return status;
  }
  /// An admin revokes a certificate.
  void Revoke(const TlsIdentity& member) {
    const auto stub = v1::Trust::NewStub(Channel(ca_.Issue(Role::kAdmin, "rado")));
    grpc::ClientContext context;
    v1::RevokeRequest request;
    request.set_serial(ReadCertificate(member.cert)->serial);
    v1::RevokeReply reply;
    EXPECT_TRUE(stub->Revoke(&context, request, &reply).ok());
  }
  std::string SelfMetrics() {
    return test::HttpGet(collector_->http_address().port, "/metrics/self").body;
  }

  test::FakeClock clock_;
  TestCa ca_{clock_.Now()};
  std::unique_ptr<Collector> collector_;
};

/// A bad certificate and what it must be told.
struct Animal {
  std::string name;
  TlsIdentity tls;
  std::string reason;
  grpc::StatusCode code = grpc::StatusCode::UNAUTHENTICATED;
};

std::vector<Animal> Zoo(const TestCa& ca, absl::Time now) {
  const TestCa foreign(now);
  const auto of = [&](TlsIdentity identity) {
    identity.ca = ca.ca();
    return identity;
  };
  CertificateSpec own = ca.Spec(Role::kAgent, "tempo");
  own.role.reset();
  own.ca_path_length = 0;
  TlsIdentity self_signed{ca.ca(), "", MakeKey()};
  self_signed.cert = *IssueRoot(self_signed.key, own);
  const TlsIdentity tempo = ca.Issue(Role::kAgent, "tempo");
  return {
      {"none", {ca.ca(), "", ""}, "no_certificate"},
      {"foreign CA", of(foreign.Issue(Role::kAdmin, "rado")), "unknown_ca"},
      {"foreign CA, expired",
       of(foreign.Issue(Role::kAdmin, "rado", -absl::Hours(2), -absl::Hours(1))), "unknown_ca"},
      {"self-signed", self_signed, "unknown_ca"},
      {"foreign leaf, our chain",
       ca.IssueAs(ca.Spec(Role::kAdmin, "rado"), foreign.issuing(), ca.issuing().certificate_pem),
       "unknown_ca"},
      {"signed by a host",
       ca.IssueAs(ca.Spec(Role::kAdmin, "rado"), Issuer{tempo.cert, tempo.key}, tempo.cert),
       "unknown_ca"},
      {"expired", ca.Issue(Role::kAdmin, "rado", -absl::Hours(2), -absl::Seconds(1)), "expired"},
      {"not yet valid", ca.Issue(Role::kAdmin, "rado", absl::Minutes(1), absl::Hours(1)),
       "not_yet_valid"},
      {"a CA", {ca.ca(), ca.issuing().certificate_pem, ca.issuing().key_pem}, "malformed"},
      {"the collector's own role", ca.Issue(Role::kCollector, "collector"), "wrong_role",
       grpc::StatusCode::PERMISSION_DENIED},
  };
}

TEST_F(CollectorTlsTest, NoMethodLetsABadCertificateIn) {
  std::vector<Animal> zoo = Zoo(ca_, clock_.Now());
  zoo.push_back({"revoked", ca_.Issue(Role::kAdmin, "anna"), "revoked"});
  Revoke(zoo.back().tls);
  for (const Animal& animal : zoo) {
    for (const std::string& method : AllMethods()) {
      if (method == "/fleet.v1.Trust/Join") continue;
      SCOPED_TRACE(absl::StrCat(animal.name, " ", method));
      std::string reply;
      const grpc::Status status = Call(animal.tls, method, reply);
      EXPECT_EQ(status.error_code(), animal.code) << status.error_message();
      EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat("refused (", animal.reason, ")")));
      EXPECT_EQ(reply, "") << "leaked before the refusal";
      EXPECT_EQ(status.error_details(), "");
    }
    EXPECT_THAT(SelfMetrics(), HasSubstr(absl::StrCat("fleet_collector_rejected_total{reason=\"",
                                                      animal.reason, "\"}")));
  }
}

TEST_F(CollectorTlsTest, ARevokedHostThatReadsNothingIsHeardNoLongerAndEnded) {
  const TlsIdentity tempo = ca_.Issue(Role::kAgent, "tempo");
  // It opens no window for what it is told: after some acks, no write comes to an end.
  const auto stub = v1::Ingest::NewStub(Channel(tempo, 5));
  grpc::ClientContext context;
  const auto stream = stub->Upload(&context);
  v1::AgentMessage message;
  message.mutable_hello()->set_host("tempo");
  message.mutable_hello()->set_lane(v1::Hello::LANE_LIVE);
  ASSERT_TRUE(stream->Write(message));
  SegmentEncoder encoder({1, 0}, clock_.Now());
  const auto send = [&] {
    v1::AgentMessage next;
    next.mutable_records()->set_epoch(1);
    next.mutable_records()->set_first_index(encoder.next_index());
    EXPECT_THAT(encoder.Append(MakeReport("disk", 1), *next.mutable_records()->mutable_data()),
                IsOk());
    return stream->Write(next);
  };
  const auto taken = [&] {
    return MetricIn(SelfMetrics(), "fleet_collector_reports_total{lane=\"live\"}");
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(send());
  ASSERT_TRUE(test::WaitFor([&] { return taken() == 100; }));
  Revoke(tempo);
  while (send()) {
  }
  EXPECT_EQ(taken(), 100);
  EXPECT_TRUE(test::WaitFor(
      [&] { return MetricIn(SelfMetrics(), "fleet_collector_streams{lane=\"live\"}") == 0; }));
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(CollectorTlsTest, TheEndOfTheCaIsSaidInTimeAndNothingShortLivedIsMade) {
  const TlsIdentity rado =
      ca_.Issue(Role::kAdmin, "rado", absl::ZeroDuration(), absl::Hours(24 * 1000));
  const auto status = [&] {
    std::string notes;
    grpc::ClientContext context;
    v1::StatusReply reply;
    if (v1::Fleet::NewStub(Channel(rado))->Status(&context, {})->Read(&reply)) {
      notes = absl::StrJoin(reply.notes(), ";");
    }
    return notes;
  };
  const auto enroll = [&] {
    grpc::ClientContext context;
    v1::EnrollRequest request;
    request.set_role("agent");
    request.set_name("parasect");
    v1::EnrollReply reply;
    return v1::Trust::NewStub(Channel(rado))->Enroll(&context, request, &reply);
  };
  // The CA of these tests lives for a year. The collector renews its own certificate meanwhile.
  const auto pass = [&](int days) {
    for (int day = 0; day < days; day += 20) {
      clock_.Advance(absl::Hours(24 * 20));
      EXPECT_TRUE(test::WaitFor([&] {
        clock_.Advance(Trust::kRefreshEvery);
        return enroll().error_code() != grpc::StatusCode::UNAVAILABLE;
      }));
    }
  };
  EXPECT_EQ(status(), "");
  EXPECT_TRUE(enroll().ok());
  pass(200);
  EXPECT_THAT(status(), HasSubstr("the fleet's CA ends on 2024-11-13"));
  EXPECT_TRUE(enroll().ok());
  pass(140);
  EXPECT_EQ(enroll().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(enroll().error_message(), HasSubstr("fleetctl ca issuing"));
}

TEST_F(CollectorTlsTest, ANameThatNoCertificateHoldsIsRefusedBeforeThereIsAToken) {
  const auto stub = v1::Trust::NewStub(Channel(ca_.Issue(Role::kAdmin, "rado")));
  for (const size_t length : {64, 65}) {
    grpc::ClientContext context;
    v1::EnrollRequest request;
    request.set_role("agent");
    request.set_name(std::string(length, 'x'));
    v1::EnrollReply reply;
    const grpc::Status status = stub->Enroll(&context, request, &reply);
    EXPECT_EQ(status.ok(), length == 64) << status.error_message();
  }
}

class KeepingCollectorTlsTest : public CollectorTlsTest {
 protected:
  std::string DataDir() override { return dir_ / "data"; }
  const test::TempDir dir_;
};

TEST_F(KeepingCollectorTlsTest, AnExportEndsWithItsReadersTrust) {
  {
    TestAgent tempo(Agent("tempo", ca_.Issue(Role::kAgent, "tempo")));
    ASSERT_THAT(tempo.Connect(), IsOk());
    ASSERT_THAT(tempo.SendMessage(tempo.Encode(MakeReport("disk", 1)), false), IsOk());
    ASSERT_TRUE(test::WaitFor([&] {
      clock_.Advance(absl::Milliseconds(100));
      return MetricIn(SelfMetrics(), "fleet_collector_journal_files{part=\"hosts\"}") > 0;
    }));
  }
  const auto read_all = [](grpc::ClientReader<v1::ExportChunk>& stream) {
    v1::ExportChunk chunk;
    while (stream.Read(&chunk)) {
    }
    return stream.Finish();
  };
  const TlsIdentity rado = ca_.Issue(Role::kAdmin, "rado");
  for (const bool reads : {true, false}) {
    SCOPED_TRACE(reads);
    const TlsIdentity anna = ca_.Issue(Role::kAdmin, "anna");
    const auto stub = v1::History::NewStub(Channel(anna, 5));  // the first piece does not fit
    grpc::ClientContext context;
    const auto stream = stub->Export(&context, v1::ExportRequest());
    stream->WaitForInitialMetadata();  // which comes with the first piece
    Revoke(anna);
    if (reads) {
      const grpc::Status status = read_all(*stream);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << status.error_message();
    }
    // Nor is it in the way of the next, though it takes nothing.
    grpc::ClientContext next;
    next.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    const auto after = v1::History::NewStub(Channel(rado))->Export(&next, v1::ExportRequest());
    EXPECT_TRUE(read_all(*after).ok());
    context.TryCancel();
    if (!reads) stream->Finish();
  }
}

TEST_F(CollectorTlsTest, EachMethodHasItsRoles) {
  const std::map<std::string, TlsIdentity> members = {{"agent", ca_.Issue(Role::kAgent, "tempo")},
                                                      {"admin", ca_.Issue(Role::kAdmin, "rado")}};
  const std::map<std::string, std::set<std::string>> may = {
      {"/fleet.v1.Ingest/Upload", {"agent"}},
      {"/fleet.v1.Trust/Join", {"agent", "admin"}},
      {"/fleet.v1.Trust/Renew", {"agent", "admin"}},
  };
  for (const std::string& method : AllMethods()) {
    const auto found = may.find(method);
    const std::set<std::string> allowed =
        found == may.end() ? std::set<std::string>{"admin"} : found->second;
    for (const auto& [role, tls] : members) {
      SCOPED_TRACE(absl::StrCat(role, " ", method));
      std::string reply;
      const grpc::Status status = Call(tls, method, reply);
      const bool refused = absl::StrContains(status.error_message(), "refused (wrong_role)");
      EXPECT_EQ(refused, allowed.count(role) == 0) << status.error_message();
      if (refused) {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
        EXPECT_EQ(reply, "");
      }
    }
  }
}

TEST_F(CollectorTlsTest, AMethodThatIsInNoTableIsNobodys) {
  std::string reply;
  for (const TlsIdentity& tls : {ca_.Issue(Role::kAdmin, "rado"), TlsIdentity{ca_.ca(), "", ""}}) {
    const grpc::Status status = Call(tls, "/fleet.v1.Fleet/NoSuchMethod", reply);
    EXPECT_THAT(status.error_message(), HasSubstr("refused ("));
  }
}

TEST_F(CollectorTlsTest, TheCertificateNamesTheHost) {
  TestAgent agent(Agent("", ca_.Issue(Role::kAgent, "tempo")));
  v1::Welcome welcome;
  ASSERT_THAT(agent.Connect(&welcome), IsOk());
  EXPECT_EQ(welcome.host(), "tempo");
  EXPECT_THAT(agent.Send(MakeReport("disk", 1)), IsOk());
  EXPECT_TRUE(collector_->state().Knows("tempo"));
}

TEST_F(CollectorTlsTest, NobodyReportsForAnother) {
  TestAgent agent(Agent("tempo", ca_.Issue(Role::kAgent, "parasect")));
  EXPECT_THAT(agent.Connect(),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("may not report for")));
  EXPECT_FALSE(collector_->state().Knows("tempo"));
  EXPECT_THAT(SelfMetrics(), HasSubstr("fleet_collector_rejected_total{reason=\"wrong_host\"} 1"));
}

TEST_F(CollectorTlsTest, PlaintextGetsNowhere) {
  TestAgent plain({.port = collector_->grpc_address().port, .host = "tempo"});
  EXPECT_FALSE(plain.Connect().ok());
  EXPECT_FALSE(collector_->state().Knows("tempo"));
}

TEST_F(CollectorTlsTest, AStreamEndsWithItsCertificate) {
  TestAgent agent(Agent("", ca_.Issue(Role::kAgent, "tempo", -absl::Hours(1), absl::Hours(1))));
  ASSERT_THAT(agent.Connect(), IsOk());
  clock_.Advance(absl::Hours(1) + absl::Seconds(10));
  EXPECT_THAT(agent.WaitForEnd(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("refused (expired)")));
}

TEST_F(CollectorTlsTest, NothingButACollectorIsBelievedByItsClients) {
  // An enrolled host that listens where the collector is expected.
  for (const TlsIdentity& impostor :
       {ca_.Issue(Role::kAgent, "tempo"), ca_.Issue(Role::kAdmin, "rado"),
        TestCa(clock_.Now()).Issue(Role::kCollector, "collector")}) {
    grpc::SslServerCredentialsOptions ssl(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    ssl.pem_key_cert_pairs.push_back({impostor.key, impostor.cert});
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(ssl), &port);
    v1::Ingest::Service service;
    builder.RegisterService(&service);
    const auto server = builder.BuildAndStart();
    TestAgent::Options options = Agent("", ca_.Issue(Role::kAgent, "parasect"));
    options.port = static_cast<uint16_t>(port);
    TestAgent agent(options);
    EXPECT_THAT(agent.Connect(), StatusIs(absl::StatusCode::kUnavailable,
                                          HasSubstr("the other end is no collector of ours")));
  }
}

/// What the openssl program, as a client, says of a handshake.
class HandshakeTest : public CollectorTlsTest {
 protected:
  std::string Handshake(const std::string& options) {
    return test::Shell(
               absl::StrCat("openssl s_client -connect 127.0.0.1:", collector_->grpc_address().port,
                            " -alpn h2 ", options, " </dev/null"))
        .text;
  }
};

TEST_F(HandshakeTest, SpeaksTls13AndNothingBelowTheFloor) {
  EXPECT_THAT(Handshake(""), HasSubstr("New, TLSv1.3"));
  EXPECT_THAT(Handshake("-tls1_2"), AllOf(HasSubstr("New, TLSv1.2"), HasSubstr("ECDHE-ECDSA-AES")));
  // Neither older versions nor ciphers without forward secrecy or authenticated encryption.
  for (const char* below :
       {"-tls1 -cipher DEFAULT@SECLEVEL=0", "-tls1_1 -cipher DEFAULT@SECLEVEL=0",
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-SHA256", "-tls1_2 -cipher AES128-GCM-SHA256"}) {
    EXPECT_THAT(Handshake(below), HasSubstr("Cipher is (NONE)")) << below;
  }
}

TEST(CollectorTlsStartTest, WhatNobodyWouldBelieveIsNotStartedWith) {
  TestCa ca;
  const TlsIdentity one = ca.Issue(Role::kCollector, "one");
  const TlsIdentity two = ca.Issue(Role::kCollector, "two");
  const TlsIdentity agent = ca.Issue(Role::kAgent, "tempo");
  const std::vector<std::pair<TlsTexts, std::string>> bad = {
      {{one.ca, one.cert, two.key}, "do not belong together"},
      {{agent.ca, agent.cert, agent.key}, "the role collector is needed"},
      {{TestCa().ca(), one.cert, one.key}, "no chain to a CA"},
  };
  for (const auto& [texts, why] : bad) {
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.trust.emplace();
    options.trust->tls = texts;
    EXPECT_THAT(Collector::Start(std::move(options), Clock::Real()),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(why)));
  }
}

}  // namespace
}  // namespace fleet::collector
