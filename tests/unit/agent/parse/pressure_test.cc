#include "agent/parse/pressure.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ParsePressureTest, ReadsBothLines) {
  const auto pressure = ParsePressure(
      "some avg10=17.57 avg60=9.90 avg300=2.56 total=15912488\n"
      "full avg10=15.86 avg60=9.22 avg300=2.38 total=14701050\n");
  ASSERT_THAT(pressure, IsOk());
  ASSERT_TRUE(pressure->some && pressure->full);
  EXPECT_DOUBLE_EQ(pressure->some->avg60, 0.099);
  EXPECT_DOUBLE_EQ(pressure->some->avg300, 0.0256);
  EXPECT_EQ(pressure->some->total_us, 15912488);
  EXPECT_EQ(pressure->full->total_us, 14701050);
}

TEST(ParsePressureTest, ReadsOneLineAndSkipsNews) {
  const auto pressure = ParsePressure("some avg10=0.00 novelty=x total=5\nnovelty total=x\n");
  ASSERT_THAT(pressure, IsOk());
  EXPECT_EQ(pressure->some->total_us, 5);
  EXPECT_FALSE(pressure->full);
}

TEST(ParsePressureTest, RejectsMalformedText) {
  for (const char* text :
       {"", "\n", "some\n", "some total=\n", "some total=-1\n", "some total=1.5\n",
        "some avg60=x total=1\n", "some avg60=nan total=1\n", "some avg60=-1 total=1\n",
        "some total=99999999999999999999\n", "some avg60=0.00 avg300=0.00\n", "total=5\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParsePressure(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
