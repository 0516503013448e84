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

}  // namespace
}  // namespace fleet::collector
