#include "agent/parse/uptime.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;

TEST(ParseUptimeTest, ReadsTheFirstNumber) {
  EXPECT_THAT(ParseUptime("2712.50 5012.10\n"), IsOkAnd(absl::Milliseconds(2712500)));
  EXPECT_THAT(ParseUptime("0.00 0.00"), IsOkAnd(absl::ZeroDuration()));
}

TEST(ParseUptimeTest, RejectsMalformedText) {
  for (const char* text : {"", "\n", "x 1", "-1 1", "nan 1", "inf 1", "1e300 1"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseUptime(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
