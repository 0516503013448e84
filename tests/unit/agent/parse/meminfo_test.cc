#include "agent/parse/meminfo.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::Optional;

TEST(ParseMeminfoTest, NamesFieldsAsNodeExporterDoes) {
  const auto meminfo = ParseMeminfo(
      "MemTotal:       24684096 kB\n"
      "Active(anon):       2276 kB\n"
      "HugePages_Total:       3\n"
      "VmallocTotal:   34359738367 kB\n");
  ASSERT_THAT(meminfo, IsOk());
  ASSERT_EQ(meminfo->size(), 4);
  EXPECT_EQ(meminfo->name(0), "MemTotal_bytes");
  EXPECT_EQ(meminfo->value(0), 24684096.0 * 1024);
  EXPECT_THAT(meminfo->Find("Active_anon_bytes"), Optional(2276.0 * 1024));
  EXPECT_THAT(meminfo->Find("HugePages_Total"), Optional(3.0));
  EXPECT_THAT(meminfo->Find("VmallocTotal_bytes"), Optional(34359738367.0 * 1024));
  EXPECT_EQ(meminfo->Find("MemFree_bytes"), std::nullopt);
}

TEST(ParseMeminfoTest, SkipsWhatNoMetricCouldBear) {
  const auto meminfo =
      ParseMeminfo("): 1 kB\nno colon\n: 5 kB\nöl: 5 kB\na b: 5 kB\nMemTotal: 1 kB\n");
  ASSERT_THAT(meminfo, IsOk());
  EXPECT_EQ(meminfo->size(), 1);
}

TEST(ParseMeminfoTest, RejectsMalformedText) {
  for (const char* text :
       {"", "\n", "no field at all\n", "MemTotal:\n", "MemTotal: kB\n", "MemTotal: -1 kB\n",
        "MemTotal: 1.5 kB\n", "MemTotal: 0x1 kB\n", "MemTotal: 99999999999999999999 kB\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseMeminfo(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseMeminfoTest, HasABound) {
  std::string text;
  for (int i = 0; i < 513; ++i) absl::StrAppend(&text, "F", i, ": 1 kB\n");
  EXPECT_THAT(ParseMeminfo(text), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace fleet::agent
