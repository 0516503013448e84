#include "collector/key_store.h"

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

HttpRequest With(const std::string& key) {
  HttpRequest request;
  request.peer = "10.0.0.1";
  request.headers = {{"X-Api-Key", key}};
  return request;
}

class KeyStoreTest : public ::testing::Test {
 protected:
  void Open() {
    store_.reset();
    book_ = std::make_unique<KeyBook>(clock_);
    book_->OnRefused(
        [this](absl::string_view reason, absl::string_view name, absl::string_view peer) {
          refused_.push_back(absl::StrCat(reason, " ", name, " ", peer));
        });
    auto store = KeyStore::Open(path(), *book_, clock_);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    keys_ = std::make_unique<AccessKeys>(std::vector<std::string>{}, book_.get());
  }
  std::string path() { return absl::StrCat(dir_.path(), "/keys.db"); }

  test::TempDir dir_;
  test::FakeClock clock_;
  std::vector<std::string> refused_;
  std::unique_ptr<KeyBook> book_;
  std::unique_ptr<KeyStore> store_;
  std::unique_ptr<AccessKeys> keys_;
};

TEST_F(KeyStoreTest, AKeyWorksUntilItIsRevokedAlsoAfterARestart) {
  Open();
  const auto full = store_->New("laptop", KeyAccess::kFull, "rado");
  const auto read = store_->New("status page", KeyAccess::kRead, "rado");
  ASSERT_THAT(full, IsOk());
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(*read, StartsWith("ro-"));
  for (int start = 0; start < 2; ++start) {
    EXPECT_EQ(keys_->Of(With(*full)), KeyAccess::kFull);
    EXPECT_EQ(keys_->Of(With(*read)), KeyAccess::kRead);
    EXPECT_TRUE(keys_->AllowsChange(With(*full)));
    EXPECT_FALSE(keys_->AllowsChange(With(*read)));
    Open();
  }
  ASSERT_THAT(store_->Revoke("laptop"), IsOk());
  EXPECT_EQ(keys_->Of(With(*full)), KeyAccess::kNone) << "at once";
  Open();
  EXPECT_EQ(keys_->Of(With(*full)), KeyAccess::kNone);
  EXPECT_EQ(keys_->Of(With(*read)), KeyAccess::kRead);
  EXPECT_THAT(refused_, ElementsAre("key_read_only  10.0.0.1", "key_read_only  10.0.0.1",
                                    "key_revoked laptop 10.0.0.1", "key_revoked laptop 10.0.0.1"));
}

TEST_F(KeyStoreTest, ListsThemWithTheirLastUseAndKeepsItOverARestart) {
  Open();
  const auto key = store_->New("laptop", KeyAccess::kFull, "rado");
  ASSERT_THAT(key, IsOk());
  auto listed = store_->List();
  ASSERT_THAT(listed, IsOkAnd(testing::SizeIs(1)));
  EXPECT_EQ(listed->front().last_used, absl::InfinitePast());
  EXPECT_EQ(listed->front().made_by, "rado");
  clock_.Advance(absl::Hours(1));
  const absl::Time used = clock_.Now();
  EXPECT_TRUE(keys_->Allows(With(*key)));
  clock_.Advance(absl::Hours(1));
  Open();
  listed = store_->List();
  ASSERT_THAT(listed, IsOkAnd(testing::SizeIs(1)));
  EXPECT_EQ(listed->front().last_used, used);
}

TEST_F(KeyStoreTest, KeepsNoKeyInClear) {
  Open();
  const auto key = store_->New("laptop", KeyAccess::kFull, "rado");
  ASSERT_THAT(key, IsOk());
  store_.reset();
  EXPECT_THAT(test::ReadFile(path()), Not(HasSubstr(*key)));
}

TEST_F(KeyStoreTest, NamesAreUniqueAndPrintable) {
  Open();
  ASSERT_THAT(store_->New("a", KeyAccess::kFull, ""), IsOk());
  EXPECT_THAT(store_->New("a", KeyAccess::kRead, ""), HasCode(absl::StatusCode::kAlreadyExists));
  for (const std::string& name : {std::string(), std::string(65, 'a'), std::string("a\nb"),
                                  std::string("\xff"), std::string("a\0b", 3)}) {
    EXPECT_THAT(store_->New(name, KeyAccess::kRead, ""),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(store_->Revoke("b"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->Revoke("a' OR '1'='1"), HasCode(absl::StatusCode::kNotFound));
  ASSERT_THAT(store_->Revoke("a"), IsOk());
  EXPECT_THAT(store_->New("a", KeyAccess::kRead, ""), IsOk()) << "free again";
}

TEST_F(KeyStoreTest, ForgetsWhatWasRevokedLongAgo) {
  Open();
  const auto key = store_->New("a", KeyAccess::kFull, "");
  ASSERT_THAT(store_->Revoke("a"), IsOk());
  clock_.Advance(KeyStore::kRevokedMemory + absl::Hours(1));
  ASSERT_THAT(store_->New("b", KeyAccess::kFull, ""), IsOk());
  EXPECT_THAT(store_->List(), IsOkAnd(testing::SizeIs(1)));
  EXPECT_FALSE(keys_->Allows(With(*key)));
  EXPECT_THAT(refused_, Each(StartsWith("key_unknown")));
}

}  // namespace
}  // namespace fleet::collector
