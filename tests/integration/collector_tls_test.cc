#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "collector/collector.h"
#include "fleet/v1/fleet.grpc.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/test_agent.h"
#include "tests/support/test_ca.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::MakeReport;
using ::fleet::test::StatusIs;
using ::fleet::test::TestAgent;
using ::fleet::test::TestCa;
using ::fleet::test::TlsIdentity;
using ::testing::HasSubstr;

class CollectorTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const TlsIdentity own = ca_.Issue("collector", "DNS:localhost");
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.tls = TlsTexts{own.ca, own.cert, own.key};
    auto started = Collector::Start(std::move(options), clock_);
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }
  TestAgent::Options Agent(const std::string& host, const TlsIdentity& tls) const {
    return {.port = collector_->grpc_address().port, .host = host, .tls = tls};
  }

  test::FakeClock clock_;
  TestCa ca_;
  std::unique_ptr<Collector> collector_;
};

TEST_F(CollectorTlsTest, TheCertificateNamesTheHost) {
  TestAgent agent(Agent("", ca_.Issue("tempo")));
  v1::Welcome welcome;
  ASSERT_THAT(agent.Connect(&welcome), IsOk());
  EXPECT_EQ(welcome.host(), "tempo");
  EXPECT_THAT(agent.Send(MakeReport("disk", 1)), IsOk());
  EXPECT_TRUE(collector_->state().Knows("tempo"));

  TestAgent by_san(Agent("parasect", ca_.Issue("some text", "DNS:parasect")));
  ASSERT_THAT(by_san.Connect(&welcome), IsOk());
  EXPECT_EQ(welcome.host(), "parasect");
}

TEST_F(CollectorTlsTest, NobodyReportsForAnother) {
  TestAgent agent(Agent("tempo", ca_.Issue("parasect")));
  EXPECT_THAT(agent.Connect(),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("may not report for")));
  EXPECT_FALSE(collector_->state().Knows("tempo"));
}

TEST_F(CollectorTlsTest, ACertificateMustNameAHost) {
  TestAgent agent(Agent("", ca_.Issue("not a host name")));
  EXPECT_THAT(agent.Connect(),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("no host name")));
}

TEST_F(CollectorTlsTest, RefusesWhoHasNoCertificateOfOurs) {
  TlsIdentity foreign = TestCa().Issue("tempo");
  foreign.ca = ca_.ca();
  TlsIdentity none;
  none.ca = ca_.ca();
  for (const TlsIdentity& tls : {foreign, none, ca_.Issue("tempo", "", -1)}) {
    TestAgent agent(Agent("tempo", tls));
    EXPECT_FALSE(agent.Connect().ok());
  }
  TestAgent plain({.port = collector_->grpc_address().port, .host = "tempo"});
  EXPECT_FALSE(plain.Connect().ok());
  EXPECT_FALSE(collector_->state().Knows("tempo"));
}

TEST_F(CollectorTlsTest, StatusNeedsACertificate) {
  const TlsIdentity admin = ca_.Issue("admin");
  const std::string target = absl::StrCat("localhost:", collector_->grpc_address().port);
  v1::StatusReply reply;
  for (const bool with : {true, false}) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = ca_.ca();
    if (with) {
      ssl.pem_private_key = admin.key;
      ssl.pem_cert_chain = admin.cert;
    }
    const auto stub = v1::Fleet::NewStub(grpc::CreateChannel(target, grpc::SslCredentials(ssl)));
    grpc::ClientContext context;
    const auto reader = stub->Status(&context, {});
    EXPECT_EQ(reader->Read(&reply), with);
    EXPECT_EQ(reader->Finish().ok(), with);
  }
}

TEST(CollectorTlsStartTest, AKeyOfAnotherCertificateIsRefused) {
  TestCa ca;
  const TlsIdentity one = ca.Issue("one", "DNS:localhost");
  const TlsIdentity two = ca.Issue("two", "DNS:localhost");
  CollectorOptions options;
  options.grpc = {"127.0.0.1", 0};
  options.http = {"127.0.0.1", 0};
  options.tls = TlsTexts{one.ca, one.cert, two.key};
  EXPECT_THAT(Collector::Start(std::move(options), Clock::Real()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("do not belong together")));
}

}  // namespace
}  // namespace fleet::collector
