#include "collector/probes/certificate_watch.h"

#include <gmock/gmock.h>

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

probe::TlsFacts Facts(const std::string& fingerprint, int from_days, int to_days, int error = 0) {
  probe::TlsFacts facts;
  facts.certificate.subject = "chitter.xyz";
  facts.certificate.fingerprint = fingerprint;
  facts.certificate.not_before = kNow + absl::Hours(24 * from_days);
  facts.certificate.not_after = kNow + absl::Hours(24 * to_days);
  facts.verify_error = error;
  facts.verify_text = "unable to get local issuer certificate";
  return facts;
}

class CertificateWatchTest : public ::testing::Test {
 protected:
  std::vector<std::string> See(const probe::TlsFacts& facts, absl::Duration later = {}) {
    std::vector<std::string> kinds;
    for (const ProbeEvent& event : WatchCertificate(facts, kNow + later, days_, memory_)) {
      kinds.push_back(event.days_before_expiration > 0
                          ? absl::StrCat(event.kind, " ", event.days_before_expiration)
                          : event.kind);
      last_ = event;
    }
    // What is kept over a restart is all that it needs.
    memory_ = FromStored(ToStored(memory_));
    return kinds;
  }
  std::vector<int> days_;
  CertificateMemory memory_;
  ProbeEvent last_;
};

TEST_F(CertificateWatchTest, TellsOfItsEndOnceAtEachThreshold) {
  EXPECT_THAT(See(Facts("a", -300, 65)), IsEmpty());
  const absl::Duration day = absl::Hours(24);
  EXPECT_THAT(See(Facts("a", -300, 65), 36 * day), ElementsAre("check.ssl_expiration 30"));
  EXPECT_THAT(See(Facts("a", -300, 65), 37 * day), IsEmpty());
  // Nobody looked on the fourteenth.
  EXPECT_THAT(See(Facts("a", -300, 65), 60 * day), ElementsAre("check.ssl_expiration 7"));
  EXPECT_THAT(See(Facts("a", -300, 65), 64.5 * day), ElementsAre("check.ssl_expiration 1"));
  EXPECT_THAT(See(Facts("b", 64, 429), 64.6 * day), ElementsAre("check.ssl_renewed"));
  EXPECT_EQ(last_.old_certificate->fingerprint, "a");
  EXPECT_EQ(last_.certificate->fingerprint, "b");
}

TEST_F(CertificateWatchTest, ThirtyDaysAreNoNewsOfOneThatLivesForNinety) {
  EXPECT_THAT(See(Facts("a", -61, 29)), IsEmpty());
  EXPECT_THAT(See(Facts("a", -61, 29), absl::Hours(24 * 16)),
              ElementsAre("check.ssl_expiration 14"));
  days_ = {30};
  memory_ = {};
  EXPECT_THAT(See(Facts("a", -61, 29)), ElementsAre("check.ssl_expiration 30"));
}

TEST_F(CertificateWatchTest, TwoLooksMakeItInvalidAndValidAgain) {
  EXPECT_THAT(See(Facts("a", -10, 300)), IsEmpty());
  EXPECT_THAT(See(Facts("x", -1, 300, 20)), IsEmpty());
  EXPECT_THAT(See(Facts("a", -10, 300)), IsEmpty());
  EXPECT_THAT(See(Facts("x", -1, 300, 20)), IsEmpty());
  EXPECT_THAT(See(Facts("x", -1, 300, 20)), ElementsAre("check.ssl_invalid"));
  EXPECT_EQ(last_.ssl_error, "error code 20: unable to get local issuer certificate");
  EXPECT_THAT(See(Facts("x", -1, 300, 20)), IsEmpty());
  EXPECT_THAT(See(Facts("a", -10, 300)), IsEmpty());
  EXPECT_THAT(See(Facts("a", -10, 300)), ElementsAre("check.ssl_valid"));
}

TEST_F(CertificateWatchTest, OneThatIsInvalidFromTheStartIsSaid) {
  See(Facts("x", -1, 300, 18));
  EXPECT_THAT(See(Facts("x", -1, 300, 18)), ElementsAre("check.ssl_invalid"));
}

TEST_F(CertificateWatchTest, EdgesThatShowSeveralAreNotRenewedEachTime) {
  EXPECT_THAT(See(Facts("a", -10, 300)), IsEmpty());
  EXPECT_THAT(See(Facts("b", -5, 305)), ElementsAre("check.ssl_renewed"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(See(Facts("a", -10, 300)), IsEmpty());
    EXPECT_THAT(See(Facts("b", -5, 305)), IsEmpty());
  }
}

}  // namespace
}  // namespace fleet::collector
