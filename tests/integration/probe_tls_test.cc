#include "common/probe/probe.h"
#include "tests/support/fake_site.h"
#include "tests/support/probe_result.h"
#include "tests/support/process.h"

namespace fleet::probe {
namespace {

using ::fleet::test::AcceptsConnections;
using ::fleet::test::Ask;
using ::fleet::test::FakeCertificates;
using ::fleet::test::FakeConnection;
using ::fleet::test::FakeSite;
using ::fleet::test::FreePort;
using ::fleet::test::Process;
using ::fleet::test::Sample;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// `openssl s_server` with one of the certificates.
class TlsServer {
 public:
  TlsServer(const FakeCertificates& certificates, const std::string& kind)
      : port_(FreePort()),
        process_({"openssl", "s_server", "-quiet", "-www", "-accept",
                  absl::StrCat("127.0.0.1:", port_), "-cert", certificates.certificate(kind),
                  "-cert_chain", certificates.certificate(kind), "-key", certificates.key(kind)}) {
    EXPECT_TRUE(test::WaitFor([&] { return AcceptsConnections(port_); }));
  }
  std::string url(const std::string& host = "localhost") const {
    return absl::StrCat("https://", host, ":", port_, "/");
  }
  uint16_t port() const { return port_; }

 private:
  const uint16_t port_;
  Process process_;
};

class ProbeTlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::HasProgram("openssl") || !test::HasProgram("faketime")) {
      GTEST_SKIP() << "needs openssl and faketime";
    }
    certificates_ = std::make_unique<FakeCertificates>();
    spec_.tls.ca_file = certificates_->ca();
    spec_.family = IpFamily::kIpv4;
  }

  Result AskHttps(const TlsServer& server) {
    spec_.kind = Kind::kHttp;
    spec_.target = server.url();
    return Ask(*engine_, spec_);
  }

  std::unique_ptr<FakeCertificates> certificates_;
  std::unique_ptr<Engine> engine_ = Engine::Create();
  Spec spec_;
};

TEST_F(ProbeTlsTest, BelievesAGoodCertificate) {
  const TlsServer server(*certificates_, "good");
  const Result result = AskHttps(server);
  EXPECT_TRUE(result.success) << result.error;
  ASSERT_TRUE(result.tls.has_value());
  EXPECT_EQ(result.tls->verify_error, 0);
  EXPECT_EQ(result.tls->version, "TLS 1.3");
  EXPECT_EQ(result.tls->certificate.subject, "localhost");
  EXPECT_EQ(result.tls->certificate.issuer, "Chitter test CA");
  EXPECT_EQ(result.tls->certificate.issuer_organization, "Chitter");
  EXPECT_THAT(result.tls->certificate.fingerprint, SizeIs(64));
  EXPECT_GT(result.timings.handshake, absl::ZeroDuration());
  EXPECT_EQ(result.tls->earliest_expiry, result.tls->certificate.not_after);
  const absl::Duration left = result.tls->earliest_expiry - absl::Now();
  EXPECT_GT(left, absl::Hours(24 * 89));
  EXPECT_LE(left, absl::Hours(24 * 90));
  EXPECT_EQ(Sample(result, "probe_http_ssl"), 1);
  EXPECT_EQ(Sample(result, "probe_ssl_last_chain_info",
                   "issuer=\"CN=Chitter test CA,O=Chitter,C=DE\",subject=\"CN=localhost,OU=Web,"
                   "O=Chitter,C=DE\",subjectalternative=\"localhost,www.chitter.test\""),
            1);
  // By address too, which stands in it.
  spec_.target = server.url("127.0.0.1");
  EXPECT_TRUE(Ask(*engine_, spec_).success);
  // Whom we mean may be said beside the address.
  spec_.tls.server_name = "www.chitter.test";
  EXPECT_TRUE(Ask(*engine_, spec_).success);
  spec_.tls.server_name = "other.test";
  EXPECT_EQ(Ask(*engine_, spec_).error, "TLS: hostname mismatch");
}

TEST_F(ProbeTlsTest, SaysWhyACertificateIsNotBelieved) {
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"expired", "certificate has expired"},
      {"future", "certificate is not yet valid"},
      {"self-signed", "self-signed certificate"},
      {"wrong-name", "hostname mismatch"},
  };
  for (const auto& [kind, text] : kinds) {
    const TlsServer server(*certificates_, kind);
    spec_.tls.verify = true;
    const Result result = AskHttps(server);
    EXPECT_EQ(result.error, absl::StrCat("TLS: ", text));
    EXPECT_EQ(result.status, 0);
    ASSERT_TRUE(result.tls.has_value()) << kind;
    EXPECT_EQ(result.tls->verify_text, text);
    EXPECT_NE(result.tls->verify_error, 0);
    // Told, but not held against it.
    spec_.tls.verify = false;
    const Result lenient = AskHttps(server);
    EXPECT_TRUE(lenient.success) << kind << lenient.error;
    EXPECT_EQ(lenient.tls->verify_text, text);
    EXPECT_EQ(Sample(lenient, "probe_ssl_last_chain_expiry_timestamp_seconds"), -62135596800);
  }
  const TlsServer server(*certificates_, "good");
  spec_.tls.verify = true;
  spec_.tls.ca_file.clear();
  const Result stranger = AskHttps(server);
  EXPECT_THAT(stranger.error, StartsWith("TLS: "));
  EXPECT_NE(stranger.tls->verify_error, 0);
  spec_.tls.ca_file = "/nonexistent/ca.pem";
  const Result unreadable = AskHttps(server);
  EXPECT_EQ(unreadable.unknown, UnknownKind::kError);
  EXPECT_THAT(unreadable.error, HasSubstr("cannot read the CA file"));
}

TEST_F(ProbeTlsTest, WarnsOfTheEnd) {
  const TlsServer server(*certificates_, "good");
  spec_.tls.expires_within_fail = absl::Hours(24 * 100);
  EXPECT_THAT(AskHttps(server).error, StartsWith("TLS: certificate expires in "));
  spec_.kind = Kind::kTls;
  spec_.target = absl::StrCat("localhost:", server.port());
  EXPECT_THAT(Ask(*engine_, spec_).error, StartsWith("TLS: certificate expires in "));
}

TEST_F(ProbeTlsTest, SpeaksTlsWithoutHttp) {
  const TlsServer server(*certificates_, "good");
  spec_.kind = Kind::kTls;
  spec_.target = absl::StrCat("localhost:", server.port());
  const Result result = Ask(*engine_, spec_);
  EXPECT_TRUE(result.success) << result.error;
  EXPECT_EQ(result.tls->certificate.subject, "localhost");
  EXPECT_EQ(Sample(result, "probe_tls_version_info", "TLS 1.3"), 1);
  const TlsServer expired(*certificates_, "expired");
  spec_.target = absl::StrCat("localhost:", expired.port());
  EXPECT_EQ(Ask(*engine_, spec_).error, "TLS: certificate has expired");
}

TEST_F(ProbeTlsTest, StartsTlsInTheMiddle) {
  const TlsServer server(*certificates_, "good");
  const FakeSite smtp([&](FakeConnection& connection) {
    connection.Write("220 mail.test ESMTP\r\n");
    connection.ReadUntil("\r\n");
    connection.Write("250-mail.test\r\n250 STARTTLS\r\n");
    connection.ReadUntil("\r\n");
    connection.Write("220 go ahead\r\n");
    connection.Proxy(server.port());
  });
  spec_.kind = Kind::kTcp;
  spec_.target = absl::StrCat("localhost:", smtp.port());
  spec_.tcp.steps = {{"EHLO probe\r\n", "^220 "},
                     {"STARTTLS\r\n", "^250 STARTTLS"},
                     {"", "^220", true},
                     {"GET / HTTP/1.0\r\n\r\n", ""},
                     {"", "^HTTP/1.0 200"}};
  const Result result = Ask(*engine_, spec_);
  EXPECT_TRUE(result.success) << result.error;
  ASSERT_TRUE(result.tls.has_value());
  EXPECT_EQ(result.tls->certificate.subject, "localhost");
}

TEST_F(ProbeTlsTest, GivesNoPasswordToWhomItDoesNotBelieve) {
  const TlsServer server(*certificates_, "expired");
  spec_.http.bearer_token = "secret";
  const Result result = AskHttps(server);
  EXPECT_EQ(result.error, "TLS: certificate has expired");
  EXPECT_EQ(result.timings.response, absl::ZeroDuration());  // nothing was asked
}

TEST_F(ProbeTlsTest, EndsHandshakesThatHang) {
  const FakeSite silent([](FakeConnection& connection) { connection.WaitForClose(); });
  spec_.timeout = absl::Milliseconds(300);
  for (const Kind kind : {Kind::kHttp, Kind::kTls}) {
    spec_.kind = kind;
    spec_.target = absl::StrCat(kind == Kind::kHttp ? "https://" : "", silent.address());
    EXPECT_EQ(Ask(*engine_, spec_).error, "TLS handshake timeout (0.3 seconds)");
  }
}

}  // namespace
}  // namespace fleet::probe
