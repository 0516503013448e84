#include "common/units.h"

#include "tests/support/matchers.h"

namespace fleet {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;

TEST(ParseDurationTest, ReadsWhatAnAdminWrites) {
  EXPECT_THAT(ParseDuration("10s"), IsOkAnd(absl::Seconds(10)));
  EXPECT_THAT(ParseDuration("200ms"), IsOkAnd(absl::Milliseconds(200)));
  EXPECT_THAT(ParseDuration("1h30m"), IsOkAnd(absl::Minutes(90)));
  EXPECT_THAT(ParseDuration("1.5d"), IsOkAnd(absl::Hours(36)));
}

TEST(ParseDurationTest, RejectsMalformedText) {
  for (const char* text : {"", "10", "s", "10 s", "-1s", "10x", "30m1h", "1h1h", "1..5s", "1e3s"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseDuration(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseRatioTest, TakesPercentAndFraction) {
  EXPECT_THAT(ParseRatio("85%"), IsOkAnd(0.85));
  EXPECT_THAT(ParseRatio("0.85"), IsOkAnd(0.85));
  for (const char* text : {"", "%", "101%", "1.01", "-1%", "x", "nan"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseRatio(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseBytesTest, KnowsBinaryAndDecimalUnits) {
  EXPECT_THAT(ParseBytes("512"), IsOkAnd(512));
  EXPECT_THAT(ParseBytes("64KiB"), IsOkAnd(65536));
  EXPECT_THAT(ParseBytes("1.5 GB"), IsOkAnd(1'500'000'000));
  for (const char* text : {"", "KiB", "-1", "5 XB", "1e30TB", "9007199254740993TiB"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseBytes(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(FormatTest, ReadsWellAtThreeInTheMorning) {
  EXPECT_EQ(HumanDuration(absl::Milliseconds(340)), "340 ms");
  EXPECT_EQ(HumanDuration(absl::Seconds(3.14)), "3.1 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(240)), "4 min");
  EXPECT_EQ(HumanDuration(absl::Minutes(125)), "2 h 5 min");
  EXPECT_EQ(HumanDuration(absl::Hours(150)), "6 d");
  EXPECT_EQ(HumanBytes(512), "512 B");
  EXPECT_EQ(HumanBytes(3.2 * 1024 * 1024), "3.2 MiB");
  EXPECT_EQ(HumanPercent(0.912), "91.2 %");
}

}  // namespace
}  // namespace fleet
