#include "collector/http/keys.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace fleet::collector {
namespace {

const AccessKeys& Keys() {
  static const AccessKeys keys({"0123456789abcdef", "fedcba9876543210"});
  return keys;
}

TEST(AccessKeysTest, TakesAKeyFromEachPlace) {
  HttpRequest bearer;
  bearer.headers = {{"authorization", "Bearer 0123456789abcdef"}};
  HttpRequest header;
  header.headers = {{"X-Api-Key", "fedcba9876543210"}};
  HttpRequest query;
  query.query = {{"api-key", "0123456789abcdef"}};
  for (const HttpRequest* request : {&bearer, &header, &query}) {
    EXPECT_TRUE(Keys().Allows(*request));
  }
}

TEST(AccessKeysTest, RefusesEverythingElse) {
  for (const char* key : {"", "0", "0123456789abcdeF", "0123456789abcdef0", "0123456789abcde"}) {
    HttpRequest request;
    request.headers = {{"X-API-KEY", key}};
    EXPECT_FALSE(Keys().Allows(request)) << key;
    request.headers = {{"Authorization", absl::StrCat("Basic ", key)}};
    EXPECT_FALSE(Keys().Allows(request)) << key;
  }
  EXPECT_FALSE(Keys().Allows({}));
  HttpRequest request;
  request.headers = {{"X-API-KEY", "0123456789abcdef"}};
  EXPECT_FALSE(AccessKeys({}).Allows(request)) << "without keys nobody has one";
}

TEST(AccessKeysTest, AReadOnlyKeyOfTheFileChangesNothing) {
  const AccessKeys keys({"ro-0123456789abcdef", "fedcba9876543210"});
  HttpRequest request;
  request.headers = {{"x-api-key", "ro-0123456789abcdef"}};
  EXPECT_EQ(keys.Of(request), KeyAccess::kRead);
  EXPECT_FALSE(keys.AllowsChange(request));
  request.query = {{"api-key", "fedcba9876543210"}};
  EXPECT_EQ(keys.Of(request), KeyAccess::kFull) << "the better of two";
  EXPECT_TRUE(keys.AllowsChange(request));
}

TEST(AccessKeysTest, HoldersAreToldApart) {
  HttpRequest one;
  one.peer = "10.0.0.1";
  EXPECT_EQ(Keys().Holder(one), "10.0.0.1");
  one.headers = {{"x-api-key", "nonsense"}};
  EXPECT_EQ(Keys().Holder(one), "10.0.0.1");
  one.headers = {{"x-api-key", "0123456789abcdef"}};
  HttpRequest two = one;
  two.headers = {{"x-api-key", "fedcba9876543210"}};
  EXPECT_NE(Keys().Holder(one), Keys().Holder(two));
  EXPECT_NE(Keys().Holder(one), one.peer);
}

}  // namespace
}  // namespace fleet::collector
