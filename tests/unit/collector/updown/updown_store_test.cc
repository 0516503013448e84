#include "collector/updown/updown_store.h"

#include "absl/strings/str_cat.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

class UpdownStoreTest : public ::testing::Test {
 protected:
  void Open() {
    store_.reset();
    auto store = UpdownStore::Open(absl::StrCat(dir_.path(), "/updown.db"),
                                   {ConfiguredWebhook("webhook", "ours", "https://a/hook")});
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }

  test::TempDir dir_;
  std::unique_ptr<UpdownStore> store_;
};

TEST_F(UpdownStoreTest, RecipientsOutliveARestartBehindThoseOfTheConfig) {
  Open();
  Recipient recipient;
  recipient.type = "webhook";
  recipient.value = "https://b/'); DROP TABLE recipients;--";
  const auto made = store_->AddRecipient(recipient);
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(made->id, MatchesRegex("webhook:[1-3][0-9]{9}"));
  EXPECT_THAT(made->webhook_id, MatchesRegex("[0-9a-f]{24}"));
  const std::string configured = store_->Recipients()[0].id;
  Open();
  ASSERT_THAT(store_->Recipients(), SizeIs(2));
  EXPECT_EQ(store_->Recipients()[0].id, configured);
  EXPECT_EQ(store_->Recipients()[1].value, recipient.value);
  EXPECT_THAT(store_->RemoveRecipient(configured), HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(store_->RemoveRecipient("webhook:1"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_->RemoveRecipient(made->webhook_id), IsOk());
  Open();
  EXPECT_THAT(store_->Recipients(), SizeIs(1));
}

TEST_F(UpdownStoreTest, StatusPagesKeepTheOrderOfTheirChecks) {
  Open();
  const auto made = store_->SaveStatusPage({"", "Chitter", "two\nlines", "public", "", {"b", "a"}});
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(made->token, MatchesRegex("[a-z0-9]{5}"));
  StatusPage page = *made;
  page.checks = {"z", "b", "a"};
  ASSERT_THAT(store_->SaveStatusPage(page), IsOk());
  Open();
  ASSERT_THAT(store_->StatusPages(), SizeIs(1));
  EXPECT_THAT(store_->FindStatusPage(made->token)->checks, ElementsAre("z", "b", "a"));
  page.token = "nope0";
  EXPECT_THAT(store_->SaveStatusPage(page), HasCode(absl::StatusCode::kNotFound));
  ASSERT_THAT(store_->RemoveStatusPage(made->token), IsOk());
  EXPECT_THAT(store_->RemoveStatusPage(made->token), HasCode(absl::StatusCode::kNotFound));
}

TEST_F(UpdownStoreTest, IsBounded) {
  Open();
  Recipient recipient;
  recipient.type = "webhook";
  for (size_t i = 0; i < UpdownStore::kRecipientsMax; ++i) {
    ASSERT_THAT(store_->AddRecipient(recipient), IsOk());
  }
  EXPECT_THAT(store_->AddRecipient(recipient), HasCode(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace fleet::collector
