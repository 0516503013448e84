#include "collector/updown/time_text.h"

#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ApiTimeTest, ReadsWhatClientsWrite) {
  const struct {
    const char* text;
    const char* time;
  } cases[] = {
      {"2026-11-23T16:00:00.000Z", "2026-11-23T16:00:00Z"},  // the static status page
      {"2026-11-23T16:00:00Z", "2026-11-23T16:00:00Z"},
      {"2026-11-23t16:00:00z", "2026-11-23T16:00:00Z"},
      {"2026-11-23 16:00:00 +0100", "2026-11-23T15:00:00Z"},  // recorded
      {"2026-11-23 16:00:00 0100", "2026-11-23T15:00:00Z"},   // its '+' was not escaped
      {"2026-11-23T16:00:00+01:00", "2026-11-23T15:00:00Z"},
      {"2026-11-23T16:00:00-07:00", "2026-11-23T23:00:00Z"},
      {"2026-11-23T16:00:00-07", "2026-11-23T23:00:00Z"},
      {"2026-11-23 16:00:00 UTC", "2026-11-23T16:00:00Z"},
      {"2026-11-23 16:00:00", "2026-11-23T16:00:00Z"},
      {"2026-11-23 16:00", "2026-11-23T16:00:00Z"},
      {"2026-11-23T16:00:00.123456", "2026-11-23T16:00:00Z"},
      {"2026-11-23", "2026-11-23T00:00:00Z"},
      {" 2026-11-23 ", "2026-11-23T00:00:00Z"},
      {"2024-02-29", "2024-02-29T00:00:00Z"},
      {"1764000000", "2025-11-24T16:00:00Z"},
  };
  for (const auto& [text, time] : cases) {
    const absl::StatusOr<absl::Time> parsed = ParseApiTime(text);
    ASSERT_THAT(parsed, IsOk()) << text;
    EXPECT_EQ(FormatApiTime(*parsed), time) << text;
  }
}

TEST(ApiTimeTest, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "now", "2026", "2026-11", "2026-13-01", "2026-02-30", "2023-02-29", "2026-11-23T25:00",
        "2026-11-23T16", "2026-11-23T16:60:00", "2026-11-23T16:00:00+", "2026-11-23T16:00:00X",
        "2026-11-23T16:00:00.Z", "2026-11-23X16:00:00", "1969-12-31", "-1", "99999999999999",
        "2026-11-23T16:00:00+99:00", "0000-01-01"}) {
    EXPECT_THAT(ParseApiTime(text), HasCode(absl::StatusCode::kInvalidArgument)) << text;
  }
}

}  // namespace
}  // namespace fleet::collector
