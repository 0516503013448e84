#include "common/probe/allow_list.h"

#include "tests/support/matchers.h"

namespace fleet::probe {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(AllowListTest, AllowsWhatItNames) {
  const std::vector<std::string> entries = {"10.235.0.0/16", "192.168.1.4:9000", "fd00::/8",
                                            "[::1]:443",     "172.16.0.1/12",    "POST"};
  const auto list = AllowList::Parse(entries);
  ASSERT_THAT(list, IsOk());
  EXPECT_TRUE(list->AllowsAddress("10.235.255.1", 80));
  EXPECT_TRUE(list->AllowsAddress("::ffff:10.235.0.1", 80));
  EXPECT_TRUE(list->AllowsAddress("192.168.1.4", 9000));
  EXPECT_TRUE(list->AllowsAddress("fd12::1", 1));
  EXPECT_TRUE(list->AllowsAddress("::1", 443));
  EXPECT_TRUE(list->AllowsAddress("172.31.255.255", 1));
  EXPECT_FALSE(list->AllowsAddress("10.236.0.1", 80));
  EXPECT_FALSE(list->AllowsAddress("192.168.1.4", 9001));
  EXPECT_FALSE(list->AllowsAddress("fe80::1", 1));
  EXPECT_FALSE(list->AllowsAddress("::1", 80));
  EXPECT_FALSE(list->AllowsAddress("172.32.0.1", 1));
  EXPECT_FALSE(list->AllowsAddress("nonsense", 1));
  EXPECT_TRUE(list->AllowsMethod("POST"));
  EXPECT_TRUE(list->AllowsMethod("GET"));
  EXPECT_FALSE(list->AllowsMethod("DELETE"));
  EXPECT_FALSE(AllowList().AllowsAddress("127.0.0.1", 80));
}

TEST(AllowListTest, RefusesWhatItCannotRead) {
  for (const char* entry :
       {"", "GET/HEAD", "post", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0", "::/129", "10.0.0.1:0",
        "10.0.0.1:99999", "[::1]", "[::1]:x", "localhost"}) {
    const std::vector<std::string> entries = {entry};
    EXPECT_THAT(AllowList::Parse(entries), HasCode(absl::StatusCode::kInvalidArgument)) << entry;
  }
}

}  // namespace
}  // namespace fleet::probe
