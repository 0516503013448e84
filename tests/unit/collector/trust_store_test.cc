// What revocations and retirements mean together, and that it holds after a restart.
#include "collector/trust_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

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
    EXPECT_THAT(store_->Record(facts), IsOk());
    return facts;
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

}  // namespace
}  // namespace fleet::collector
