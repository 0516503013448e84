#include "collector/http/target.h"

#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::Field;

TEST(ParseRequestTargetTest, SplitsPathAndQuery) {
  EXPECT_THAT(ParseRequestTarget("/health/tempo/disk?api-key=a%20b&x&y=1+2"),
              IsOkAnd(RequestTarget{{"health", "tempo", "disk"},
                                    {{"api-key", "a b"}, {"x", ""}, {"y", "1 2"}}}));
}

TEST(ParseRequestTargetTest, ReadsTheRootAndIgnoresATrailingSlash) {
  for (const char* text : {"/", "/?", "http://tempo:10236", "http://tempo/"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseRequestTarget(text), IsOkAnd(RequestTarget{}));
  }
  EXPECT_THAT(ParseRequestTarget("/health/"), IsOkAnd(RequestTarget{{"health"}, {}}));
  EXPECT_THAT(ParseRequestTarget("HTTP://tempo/health?a=b"),
              IsOkAnd(RequestTarget{{"health"}, {{"a", "b"}}}));
}

TEST(ParseRequestTargetTest, DecodesWithinASegment) {
  EXPECT_THAT(ParseRequestTarget("/a%2Fb/%e2%82%ac+c"),
              IsOkAnd(Field(&RequestTarget::path, ElementsAre("a/b", "€+c"))));
}

TEST(ParseRequestTargetTest, RejectsMalformedText) {
  for (const char* text :
       {"", "*", "health", "?a=b", "//a", "/a//b", "/./a", "/a/..", "/%2e%2e/a", "/%", "/%4",
        "/%4g", "/a?b=%", "/a?b=%zz", "/%00", "/a%0ab", "/a?b=%0d", "/a\x7f", "ftp://tempo/"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseRequestTarget(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseRequestTargetTest, RefusesMoreThanItsLimit) {
  EXPECT_THAT(ParseRequestTarget(absl::StrCat("/", std::string(kTargetBytesMax - 1, 'a'))),
              test::IsOk());
  EXPECT_THAT(ParseRequestTarget(absl::StrCat("/", std::string(kTargetBytesMax, 'a'))),
              HasCode(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace fleet::collector
