#include "agent/parse/diskstats.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ParseDiskStatsTest, ReadsEveryKernelsColumns) {
  const auto devices = ParseDiskStats(
      "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n"
      "   8      16 sdb 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n"
      " 259       0 nvme0n1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"
      " 253       0 dm-0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 later\n");
  ASSERT_THAT(devices, IsOk());
  ASSERT_EQ(devices->size(), 4u);
  EXPECT_EQ((*devices)[0].fields_size, 11u);
  EXPECT_EQ((*devices)[1].fields_size, 15u);
  EXPECT_EQ((*devices)[2].fields_size, 17u);
  EXPECT_EQ((*devices)[2].major, 259u);
  EXPECT_EQ((*devices)[2].fields[16], 17u);
  EXPECT_EQ((*devices)[3].device, "dm-0");
  EXPECT_EQ((*devices)[3].fields_size, 17u);
}

TEST(ParseDiskStatsTest, ReadsCountersToTheLastBit) {
  const auto devices = ParseDiskStats("8 0 sda 18446744073709551615 2 3 4 5 6 7 8 9 10 11\n");
  ASSERT_THAT(devices, IsOk());
  EXPECT_EQ((*devices)[0].fields[0], UINT64_MAX);
}

TEST(ParseDiskStatsTest, RejectsMalformedText) {
  for (const char* text :
       {"x\n", "8 0\n", "8 0 sda\n", "8 0 sda 1 2 3 4\n", "8 0 sda 1 2 3 4 5 6 7 8 9 10\n",
        "8 x sda 1 2 3 4 5 6 7 8 9 10 11\n", "8 0 sda 1 2 3 4 5 6 7 8 9 10 -11\n",
        "8 0 sda 1 2 3 4 5 6 7 8 9 10 18446744073709551616\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseDiskStats(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
