#include "agent/parse/softnet.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseSoftnetTest, TakesTheCpuFromTheThirteenthColumn) {
  EXPECT_THAT(ParseSoftnet("0000006d 00000001 00000002 0 0 0 0 0 0 0 0 0 00000000 0 0\n"
                           "0000085f 00000000 00000000 0 0 0 0 0 0 0 0 0 00000003 0 0\n"),
              IsOkAnd(ElementsAre(SoftnetCpu{0, 0x6d, 1, 2}, SoftnetCpu{3, 0x85f, 0, 0})));
}

TEST(ParseSoftnetTest, CountsLinesOnOlderKernels) {
  EXPECT_THAT(ParseSoftnet("1 0 0 0 0 0 0 0 0 0 0\nffffffff 0 a 0 0 0 0 0 0 0 0\n"),
              IsOkAnd(ElementsAre(SoftnetCpu{0, 1, 0, 0}, SoftnetCpu{1, 0xffffffff, 0, 10})));
  EXPECT_THAT(ParseSoftnet(""), IsOkAnd(IsEmpty()));
}

TEST(ParseSoftnetTest, RejectsMalformedText) {
  for (const char* text : {"\n", "1\n", "1 2\n", "g 0 0\n", "1 2 -3\n", "100000000 0 0\n",
                           "1 0 0 0 0 0 0 0 0 0 0 0 x\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseSoftnet(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseSoftnetTest, HasABound) {
  std::string text;
  for (int i = 0; i < 8193; ++i) text += "1 0 0\n";
  EXPECT_THAT(ParseSoftnet(text), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace fleet::agent
