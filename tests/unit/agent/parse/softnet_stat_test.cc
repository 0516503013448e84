#include "agent/parse/softnet_stat.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseSoftnetStatTest, TakesTheCpuFromItsColumn) {
  EXPECT_THAT(
      ParseSoftnetStat("00000095 00000001 00000002 0 0 0 0 0 0 0 0 0 00000000 00000000 00000000\n"
                       "00000883 00000000 00000000 0 0 0 0 0 0 0 0 0 00000003 00000000 00000000\n"),
      IsOkAnd(ElementsAre(SoftnetStat{0, 0x95, 1, 2}, SoftnetStat{3, 0x883, 0, 0})));
  EXPECT_THAT(ParseSoftnetStat(""), IsOkAnd(IsEmpty()));
}

TEST(ParseSoftnetStatTest, CountsCpusOnAnOlderKernel) {
  EXPECT_THAT(ParseSoftnetStat("1 2 3 0 0 0 0 0 0 0 0\n4 5 6 0 0 0 0 0 0 0 0\n"),
              IsOkAnd(ElementsAre(SoftnetStat{0, 1, 2, 3}, SoftnetStat{1, 4, 5, 6})));
}

TEST(ParseSoftnetStatTest, RejectsMalformedText) {
  for (const char* text : {"1 2\n", "1 2 x\n", " \n", "1 2 3 0 0 0 0 0 0 0 0 0 x\n",
                           "1 2 3 0 0 0 0 0 0 0 0 0 100000000\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseSoftnetStat(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
