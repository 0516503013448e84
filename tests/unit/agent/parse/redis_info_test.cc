#include "agent/parse/redis_info.h"

#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::Fixture;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::Pair;

TEST(ParseRedisInfoTest, ReadsWhatAServerSays) {
  const auto info = ParseRedisInfo(Fixture("redis/info-7.0.15-primary.txt"));
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->Text("redis_version"), "7.0.15");
  EXPECT_EQ(info->Text("maxmemory_policy"), "allkeys-lru");
  EXPECT_EQ(info->Number("maxmemory"), 8388608);
  EXPECT_EQ(info->Number("maxmemory_policy"), std::nullopt);
  EXPECT_EQ(info->Number("no_such_field"), std::nullopt);
  EXPECT_EQ(info->Text("config_file"), "");
  EXPECT_EQ(info->fields().front().section, "Server");
}

TEST(ParseRedisInfoTest, SkipsHeadingsAndKeepsUnknownFields) {
  const auto info = ParseRedisInfo("# New\r\nnever_seen:a:b\r\n\r\n");
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->Text("never_seen"), "a:b");
  EXPECT_EQ(info->fields()[0].section, "New");
}

TEST(ParseRedisInfoTest, RejectsMalformedText) {
  for (const char* text : {"", "\r\n", "# Server\r\n", "no colon", ":value", "a:1\nb"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseRedisInfo(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseRedisInfoTest, IsBounded) {
  std::string text;
  for (int i = 0; i < 20'001; ++i) text += "a:1\n";
  EXPECT_THAT(ParseRedisInfo(text), HasCode(absl::StatusCode::kResourceExhausted));
}

TEST(ParseRedisPartsTest, SplitsPairs) {
  const auto parts = ParseRedisParts("ip=::1,state=online,lag=1,addr=");
  EXPECT_THAT(parts, IsOkAnd(ElementsAre(Pair("ip", "::1"), Pair("state", "online"),
                                         Pair("lag", "1"), Pair("addr", ""))));
  EXPECT_EQ(RedisPart(*parts, "lag"), 1);
  EXPECT_EQ(RedisPart(*parts, "state"), std::nullopt);
  EXPECT_EQ(RedisPart(*parts, "none"), std::nullopt);
}

TEST(ParseRedisPartsTest, RejectsMalformedText) {
  for (const char* text : {"", "keys", "keys=1,", "=1", "keys=1,,expires=0"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseRedisParts(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
