#include "agent/parse/loadavg.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ParseLoadAverageTest, ReadsTheKernelsLine) {
  const auto load = ParseLoadAverage("0.20 0.18 12.12 1/80 11206\n");
  ASSERT_THAT(load, IsOk());
  EXPECT_DOUBLE_EQ(load->one, 0.20);
  EXPECT_DOUBLE_EQ(load->five, 0.18);
  EXPECT_DOUBLE_EQ(load->fifteen, 12.12);
}

TEST(ParseLoadAverageTest, RejectsMalformedText) {
  for (const char* text : {"", "\n", "0.20", "0.20 0.18", "0.20 0.18 x 1/80 11206", "-1 0 0 1/1 1",
                           "nan 0 0 1/1 1", "0,20 0,18 0,12 1/80 1"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseLoadAverage(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
