// What revocations and retirements mean together, and that it holds after a restart.
#include "collector/trust_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_ca.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TrustStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    store_.reset();
    auto opened = TrustStore::Open(dir_ / "trust.db", clock_);
    ASSERT_THAT(opened, IsOk());
    store_ = *std::move(opened);
  }
  /// A certificate of the host, as it is issued now.
  CertificateFacts Issued(const std::string& name, Role role = Role::kAgent) {
    CertificateFacts facts;
    facts.serial = absl::StrCat("aa", 10 + issued_++);
    facts.role = role;
    facts.name = name;
    facts.not_before = clock_.Now() - kBackdate;
    facts.not_after = clock_.Now() + absl::Hours(24 * 90);
    return facts;
  }
  CertificateFacts Recorded(const std::string& name) {
    CertificateFacts facts = Issued(name);
    EXPECT_THAT(store_->RecordSeen(facts), IsOk());
    return facts;
  }
  CertificateFacts Join(const std::string& name) {
    const auto secret = store_->MakeToken({Role::kAgent, name}, "rado");
    EXPECT_THAT(secret, IsOk());
    const auto redeemed = store_->Redeem(*secret, [&](const TokenGrant& grant) {
      return test::TestCa(clock_.Now()).Issue(grant.role, grant.name).cert;
    });
    EXPECT_THAT(redeemed, IsOk());
    return *ReadCertificate(redeemed->certificate_pem);
  }

  test::TempDir dir_;
  test::FakeClock clock_;
  int issued_ = 0;
  std::unique_ptr<TrustStore> store_;
};

TEST_F(TrustStoreTest, UndoRestoresWhatTheRetirementHasRevoked) {
  const CertificateFacts parasect = Recorded("parasect");
  ASSERT_THAT(store_->Retire("parasect", "rado"), IsOk());
  EXPECT_TRUE(store_->IsRevoked(parasect.serial));
  ASSERT_THAT(store_->Unretire("parasect"), IsOk());
  EXPECT_FALSE(store_->IsRevoked(parasect.serial));
  Open();
  EXPECT_FALSE(store_->IsRevoked(parasect.serial));
}

TEST_F(TrustStoreTest, UndoDoesNotRestoreASerialThatWasRevokedMeanwhile) {
  const CertificateFacts stolen = Recorded("parasect");
  const CertificateFacts other = Recorded("parasect");
  ASSERT_THAT(store_->Retire("parasect", "rado"), IsOk());
  const auto record = store_->RevokeSerial(stolen.serial, "revoked by rado");
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ((*record)->revoked_why, "revoked by rado");
  ASSERT_THAT(store_->Unretire("parasect"), IsOk());
  EXPECT_TRUE(store_->IsRevoked(stolen.serial));
  EXPECT_FALSE(store_->IsRevoked(other.serial));
  Open();
  EXPECT_TRUE(store_->IsRevoked(stolen.serial));
}

TEST_F(TrustStoreTest, UndoDoesNotRestoreANameThatWasRevokedMeanwhile) {
  const CertificateFacts stolen = Recorded("parasect");
  ASSERT_THAT(store_->Retire("parasect", "rado"), IsOk());
  EXPECT_THAT(store_->RevokeName(Role::kAgent, "parasect", "revoked by rado"),
              IsOkAnd(ElementsAre(stolen.serial)));
  EXPECT_THAT(store_->RevokeName(Role::kAgent, "parasect", "revoked by rado"), IsOkAnd(IsEmpty()));
  ASSERT_THAT(store_->Unretire("parasect"), IsOk());
  EXPECT_TRUE(store_->IsRevoked(stolen.serial));
  Open();
  EXPECT_TRUE(store_->IsRevoked(stolen.serial));
}

TEST_F(TrustStoreTest, ARevokedNameEndsWhatWasIssuedBeforeAndNothingElse) {
  const CertificateFacts unseen = Issued("tempo");
  const CertificateFacts other = Issued("parasect");
  const CertificateFacts admin = Issued("tempo", Role::kAdmin);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(store_->RevokeName(Role::kAgent, "tempo", "test"), IsOkAnd(IsEmpty()));
  clock_.Advance(absl::Seconds(1));
  const CertificateFacts later = Issued("tempo");
  // To be refused is no way to become known as good.
  ASSERT_THAT(store_->RecordSeen(unseen), IsOk());
  for (const char* time : {"at once", "after a restart"}) {
    EXPECT_TRUE(store_->IsEnded(unseen)) << time;
    EXPECT_FALSE(store_->IsEnded(other)) << time;
    EXPECT_FALSE(store_->IsEnded(admin)) << time;
    EXPECT_FALSE(store_->IsEnded(later)) << time;
    Open();
  }
}

TEST_F(TrustStoreTest, WhatIsIssuedHereAfterwardsIsGoodAtOnceWhateverTheClock) {
  const CertificateFacts unseen = Issued("tempo");
  ASSERT_THAT(store_->RevokeName(Role::kAgent, "tempo", "test"), IsOk());
  // In the same second, and by a clock that was set back.
  CertificateFacts joined = Join("tempo");
  for (const char* time : {"at once", "after a restart", "with the clock set back"}) {
    EXPECT_FALSE(store_->IsEnded(joined)) << time;
    EXPECT_TRUE(store_->IsEnded(unseen)) << time;
    Open();
    if (absl::string_view(time) == "at once") continue;
    clock_.JumpWall(-absl::Hours(24));
    joined = Issued("tempo");
    ASSERT_THAT(store_->RecordIssued(joined), IsOk());
  }
  ASSERT_THAT(store_->RevokeName(Role::kAgent, "tempo", "test"), IsOk());
  EXPECT_TRUE(store_->IsRevoked(joined.serial));
}

TEST_F(TrustStoreTest, JoiningAgainEndsAlsoWhatNobodyHasSeenHere) {
  const CertificateFacts unseen = Issued("tempo");
  const CertificateFacts joined = Join("tempo");
  EXPECT_TRUE(store_->IsEnded(unseen));
  EXPECT_FALSE(store_->IsEnded(joined));
  // A retirement can be taken back, with what joined.
  ASSERT_THAT(store_->Retire("tempo", "rado"), IsOk());
  Open();
  ASSERT_THAT(store_->Unretire("tempo"), IsOk());
  EXPECT_FALSE(store_->IsEnded(joined));
  EXPECT_FALSE(store_->IsRevoked(joined.serial));
}

TEST_F(TrustStoreTest, AMemberThatHadManyCertificatesIsListedAtOnce) {
  store_ = *TrustStore::Open("", clock_);  // the disk would be most of it
  for (int i = 0; i < 15'000; ++i) {
    clock_.Advance(absl::Seconds(1));
    Recorded("tempo");
  }
  Recorded("parasect");
  const absl::Time begin = absl::Now();
  const auto records = store_->Certificates();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(1));
  ASSERT_THAT(records, IsOk());
  std::vector<std::string> names;
  for (const CertificateRecord& record : *records) names.push_back(record.name);
  EXPECT_THAT(names, ElementsAre("parasect", "tempo"));
}

}  // namespace
}  // namespace fleet::collector
