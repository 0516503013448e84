#include "collector/rate_limiter.h"

#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

TEST(RateLimiterTest, EachKeyHasItsOwnAllowance) {
  test::FakeClock clock;
  RateLimiter limiter(2, 3, clock);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
  EXPECT_TRUE(limiter.Allow("b"));
  clock.Advance(absl::Milliseconds(500));
  EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
  clock.Advance(absl::Hours(1));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Allow("a"));
  EXPECT_FALSE(limiter.Allow("a"));
}

TEST(RateLimiterTest, TooManyKeysShareOne) {
  test::FakeClock clock;
  RateLimiter limiter(1, 2, clock);
  for (size_t i = 0; i < RateLimiter::kKeysMax; ++i) EXPECT_TRUE(limiter.Allow(absl::StrCat(i)));
  EXPECT_TRUE(limiter.Allow("x"));
  EXPECT_TRUE(limiter.Allow("y"));
  EXPECT_FALSE(limiter.Allow("z"));
  // Those that wait no longer make room.
  clock.Advance(absl::Seconds(2));
  EXPECT_TRUE(limiter.Allow("x"));
  EXPECT_TRUE(limiter.Allow("y"));
  EXPECT_TRUE(limiter.Allow("z"));
}

}  // namespace
}  // namespace fleet::collector
