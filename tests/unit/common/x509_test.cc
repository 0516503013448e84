#include "common/x509.h"

#include "absl/strings/str_replace.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_ca.h"

namespace fleet {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::fleet::test::StatusIs;
using ::fleet::test::TestCa;
using ::fleet::test::TlsIdentity;
using ::testing::HasSubstr;

class X509Test : public ::testing::Test {
 protected:
  /// Leaf and chain are one file; a peer sends both.
  PeerCheck Verify(const TlsIdentity& identity, const std::string& root, absl::Time now) const {
    const auto anchors = TrustAnchors::Parse(root, "");
    EXPECT_THAT(anchors, IsOk());
    return anchors->Verify(identity.cert, identity.cert, now);
  }
  PeerCheck Verify(const TlsIdentity& identity) const { return Verify(identity, ca_.ca(), now_); }

  const absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  const TestCa ca_{now_};
};

TEST_F(X509Test, ACertificateSaysWhoItsHolderIs) {
  const TlsIdentity tempo = ca_.Issue(Role::kAgent, "tempo.chitter-1");
  const PeerCheck check = Verify(tempo);
  EXPECT_EQ(check.distrust, Distrust::kNone) << check.text;
  EXPECT_EQ(check.facts.role, Role::kAgent);
  EXPECT_EQ(check.facts.name, "tempo.chitter-1");
  EXPECT_EQ(check.facts.common_name, "tempo.chitter-1");
  EXPECT_EQ(check.facts.not_before, now_ - absl::Hours(48));
  EXPECT_EQ(check.facts.not_after, now_ + absl::Hours(24 * 30));
  EXPECT_EQ(check.facts.serial.size(), 32u);
  EXPECT_EQ(check.root_fingerprint, ReadCertificate(ca_.ca())->fingerprint);
  EXPECT_THAT(ReadCertificate(tempo.cert), IsOkAnd(check.facts));
}

TEST_F(X509Test, TheFingerprintIsWhatOpensslPrints) {
  test::TempDir dir;
  test::WriteFile(dir / "ca.pem", ca_.ca());
  const test::Output output =
      test::Shell(absl::StrCat("openssl x509 -noout -fingerprint -sha256 -serial -in ",
                               dir / "ca.pem", " | tr -d : | tr A-F a-f"));
  EXPECT_THAT(output.text, HasSubstr(ReadCertificate(ca_.ca())->fingerprint));
  EXPECT_THAT(output.text, HasSubstr(ReadCertificate(ca_.ca())->serial));
}

TEST_F(X509Test, DatesAreJudgedByTheGivenClock) {
  const TlsIdentity tempo = ca_.Issue(Role::kAgent, "tempo");
  EXPECT_TRUE(Verify(tempo, ca_.ca(), now_ + absl::Hours(24 * 30)).ok());
  const PeerCheck late = Verify(tempo, ca_.ca(), now_ + absl::Hours(24 * 30) + absl::Seconds(1));
  EXPECT_EQ(late.distrust, Distrust::kExpired);
  EXPECT_EQ(late.text, "the certificate ended on 2023-12-14 22:13 UTC");
  const PeerCheck early = Verify(tempo, ca_.ca(), now_ - absl::Hours(49));
  EXPECT_EQ(early.distrust, Distrust::kNotYetValid);
}

TEST_F(X509Test, NothingOutlivesItsCa) {
  CertificateSpec spec = ca_.Spec(Role::kAgent, "tempo");
  spec.not_after = now_ + absl::Hours(24 * 800);
  const TlsIdentity clamped = ca_.IssueAs(spec, ca_.issuing(), ca_.issuing().certificate_pem);
  EXPECT_EQ(ReadCertificate(clamped.cert)->not_after, now_ + absl::Hours(24 * 365));
  // One made by a CA of the same key that lives longer ends with the CA that is believed.
  CertificateSpec root = spec;
  root.role.reset();
  root.ca_path_length = 1;
  root.common_name = "root";
  const std::string key = MakeKey();
  const Issuer longer{*IssueRoot(key, root), key};
  root.not_after = now_ + absl::Hours(24 * 400);
  const std::string believed = *IssueRoot(key, root);
  const TlsIdentity tempo = ca_.IssueAs(spec, longer, believed);
  EXPECT_EQ(ReadCertificate(tempo.cert)->not_after, spec.not_after);
  EXPECT_EQ(ReadChain(tempo.cert)->not_after, root.not_after);
  EXPECT_EQ(ReadChain(tempo.cert)->name, "tempo");
  EXPECT_TRUE(Verify(tempo, believed, now_ + absl::Hours(24 * 399)).ok());
  const PeerCheck by_ca = Verify(tempo, believed, now_ + absl::Hours(24 * 401));
  EXPECT_EQ(by_ca.distrust, Distrust::kExpired);
  EXPECT_THAT(by_ca.text, HasSubstr("of its CA"));
}

TEST_F(X509Test, OnlyOurOwnRootIsBelieved) {
  const TestCa foreign(now_);
  const TlsIdentity stranger = foreign.Issue(Role::kAgent, "tempo");
  EXPECT_EQ(Verify(stranger).distrust, Distrust::kUnknownCa);
  // Expired and foreign is foreign: whose dates they are is not known.
  EXPECT_EQ(Verify(foreign.Issue(Role::kAgent, "tempo", -absl::Hours(2), -absl::Hours(1))).distrust,
            Distrust::kUnknownCa);
  // A foreign leaf with our chain behind it; our leaf without its chain.
  TlsIdentity mixed = stranger;
  mixed.cert = absl::StrCat(stranger.cert.substr(0, stranger.cert.find("-----END") + 26),
                            ca_.issuing().certificate_pem);
  EXPECT_EQ(Verify(mixed).distrust, Distrust::kUnknownCa);
  const TlsIdentity alone = ca_.IssueAs(ca_.Spec(Role::kAgent, "tempo"), ca_.issuing(), "");
  EXPECT_EQ(Verify(alone).distrust, Distrust::kUnknownCa);
  const auto with_issuer = TrustAnchors::Parse(ca_.ca(), ca_.issuing().certificate_pem);
  EXPECT_TRUE(with_issuer->Verify(alone.cert, "", now_).ok());
  EXPECT_TRUE(with_issuer->Verify(alone.cert, "nonsense", now_).ok());
}

TEST_F(X509Test, AMemberCannotSignForOthers) {
  const TlsIdentity agent = ca_.Issue(Role::kAgent, "parasect");
  const TlsIdentity forged =
      ca_.IssueAs(ca_.Spec(Role::kAdmin, "mallory"), Issuer{agent.cert, agent.key}, agent.cert);
  EXPECT_EQ(Verify(forged).distrust, Distrust::kUnknownCa);
  // Nor can the issuing CA make another CA.
  CertificateSpec spec;
  spec.common_name = "a CA below";
  spec.ca_path_length = 0;
  spec.not_before = now_ - absl::Hours(1);
  spec.not_after = now_ + absl::Hours(1);
  const TlsIdentity below = ca_.IssueAs(spec, ca_.issuing(), ca_.issuing().certificate_pem);
  const TlsIdentity leaf =
      ca_.IssueAs(ca_.Spec(Role::kAdmin, "mallory"), Issuer{below.cert, below.key}, below.cert);
  EXPECT_EQ(Verify(leaf).distrust, Distrust::kUnknownCa);
}

TEST_F(X509Test, SelfSignedIsUnknown) {
  CertificateSpec spec = ca_.Spec(Role::kAgent, "tempo");
  TlsIdentity own;
  own.key = MakeKey();
  spec.role.reset();
  spec.ca_path_length = 0;
  own.cert = *IssueRoot(own.key, spec);
  EXPECT_EQ(Verify(own).distrust, Distrust::kUnknownCa);
}

TEST_F(X509Test, ACaIsNobody) {
  TlsIdentity issuing;
  issuing.cert = ca_.issuing().certificate_pem;
  EXPECT_EQ(Verify(issuing).distrust, Distrust::kMalformed);
}

/// A certificate of our CA whose names are what `san` says, made by the openssl program.
class SanTest : public X509Test,
                public ::testing::WithParamInterface<std::pair<const char*, const char*>> {
 protected:
  TlsIdentity IssueWithSan(const std::string& san) {
    test::WriteFile(dir_ / "ca.pem", ca_.issuing().certificate_pem);
    test::WriteFile(dir_ / "ca.key", ca_.issuing().key_pem);
    test::WriteFile(dir_ / "ext", san);
    const test::Output made = test::Shell(absl::StrCat(
        "cd ", dir_.path(),
        " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=tempo "
        "-keyout key -out csr && openssl x509 -req -in csr -CA ca.pem -CAkey ca.key "
        "-CAcreateserial -days 1 -extfile ext -out pem"));
    EXPECT_EQ(made.exit_code, 0) << made.text;
    TlsIdentity identity;
    identity.cert = test::ReadFile(dir_ / "pem") + ca_.issuing().certificate_pem;
    return identity;
  }
  test::TempDir dir_;
};

TEST_P(SanTest, AMalformedNameIsNobody) {
  const TlsIdentity identity = IssueWithSan(GetParam().first);
  const auto anchors = TrustAnchors::Parse(ca_.ca(), "");
  const auto facts = ReadCertificate(identity.cert);
  ASSERT_THAT(facts, IsOk());
  EXPECT_FALSE(facts->role.has_value());
  EXPECT_THAT(facts->role_problem, HasSubstr(GetParam().second));
}

INSTANTIATE_TEST_SUITE_P(
    Zoo, SanTest,
    ::testing::Values(
        std::pair("basicConstraints=CA:FALSE\n", "no role"),
        std::pair("subjectAltName=DNS:tempo\n", "no role"),
        std::pair("subjectAltName=URI:fleet:agent:tempo,URI:fleet:admin:tempo\n", "several"),
        std::pair("subjectAltName=URI:fleet:agent:\n", "no fleet:ROLE:NAME"),
        std::pair("subjectAltName=URI:fleet:agent\n", "no fleet:ROLE:NAME"),
        std::pair("subjectAltName=URI:fleet:root:tempo\n", "no fleet:ROLE:NAME"),
        std::pair("subjectAltName=URI:FLEET:agent:tempo\n", "no fleet:ROLE:NAME"),
        std::pair("subjectAltName=URI:fleet:agent:../tempo\n", "no fleet:ROLE:NAME"),
        std::pair("subjectAltName=URI:fleet:agent:tem po\n", "no fleet:ROLE:NAME"),
        // fleet:agent:tempo, a zero byte, .evil: as DER, because openssl's text cannot say it.
        std::pair("subjectAltName=DER:30:19:86:17:66:6c:65:65:74:3a:61:67:65:6e:74:3a:74:65:6d:70:"
                  "6f:00:2e:65:76:69:6c\n",
                  "no fleet:ROLE:NAME"),
        // A sequence that ends too early.
        std::pair("subjectAltName=DER:30:7f:86:17\n", "no role")));

TEST_F(X509Test, KeysAndCertificatesMustBelongTogether) {
  const TlsIdentity one = ca_.Issue(Role::kAgent, "one");
  const TlsIdentity two = ca_.Issue(Role::kAgent, "two");
  EXPECT_THAT(CheckKeyPair(one.cert, one.key), IsOk());
  EXPECT_THAT(CheckKeyPair(one.cert, two.key),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("belong together")));
  EXPECT_THAT(CheckKeyPair("nonsense", one.key), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckKeyPair(one.cert, one.cert), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(X509Test, ARequestProvesThatTheKeyIsTheSenders) {
  const std::string key = MakeKey();
  const auto request = MakeRequest(key, "tempo");
  ASSERT_THAT(request, IsOk());
  EXPECT_THAT(PublicKeyOfRequest(*request), IsOkAnd(*PublicKeyOfKey(key)));
  // Another key under the same signature.
  std::string bent = *request;
  bent[bent.size() / 2] = bent[bent.size() / 2] == 'A' ? 'B' : 'A';
  EXPECT_THAT(PublicKeyOfRequest(bent), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(PublicKeyOfRequest(""), HasCode(absl::StatusCode::kInvalidArgument));
  const test::Output weak =
      test::Shell("openssl req -newkey rsa:1024 -nodes -subj /CN=x -keyout /dev/null 2>/dev/null");
  EXPECT_THAT(PublicKeyOfRequest(weak.text),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("RSA from 2048")));
}

TEST_F(X509Test, IsRenewedAtTwoThirdsOfItsLife) {
  CertificateFacts facts;
  facts.not_before = now_ - kBackdate;
  facts.not_after = now_ + absl::Hours(90);
  EXPECT_EQ(RenewalTime(facts, 0.5), now_ + absl::Hours(60));
  EXPECT_EQ(RenewalTime(facts, 0), now_ + absl::Hours(55.5));
  EXPECT_EQ(RenewalTime(facts, 1), now_ + absl::Hours(64.5));
  // Not one of ours: it does not date back.
  facts.not_before = now_;
  facts.not_after = now_ + absl::Hours(30);
  EXPECT_EQ(RenewalTime(facts, 0.5), now_ + absl::Hours(20));
}

TEST_F(X509Test, FindsTheRootThatAPinNames) {
  const std::string chain = ca_.issuing().certificate_pem + ca_.ca();
  const std::string pin = ReadCertificate(ca_.ca())->fingerprint;
  EXPECT_THAT(FindCertificate(chain, pin), IsOkAnd(ca_.ca()));
  EXPECT_THAT(FindCertificate(ca_.issuing().certificate_pem, pin),
              HasCode(absl::StatusCode::kNotFound));
}

TEST_F(X509Test, OpensslBelievesWhatWeMake) {
  test::TempDir dir;
  const TestCa now_ca;
  const TlsIdentity tempo = now_ca.Issue(Role::kAgent, "tempo");
  test::WriteFile(dir / "ca.pem", now_ca.ca());
  test::WriteFile(dir / "chain.pem", now_ca.issuing().certificate_pem);
  test::WriteFile(dir / "tempo.pem", tempo.cert);
  const test::Output output = test::Shell(absl::StrCat(
      "cd ", dir.path(),
      " && openssl verify -x509_strict -purpose sslclient -CAfile ca.pem "
      "-untrusted chain.pem tempo.pem && openssl x509 -noout -ext subjectAltName -in tempo.pem"));
  EXPECT_EQ(output.exit_code, 0) << output.text;
  EXPECT_THAT(output.text, HasSubstr("URI:fleet:agent:tempo"));
}

}  // namespace
}  // namespace fleet
