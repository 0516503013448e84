#include "agent/parse/tinc_hook.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const TincHookEvent kUp = {.up = true,
                           .boot_id = "6b0f8c2e",
                           .since_boot = absl::Milliseconds(86400120),
                           .time = absl::FromUnixSeconds(1795453426),
                           .net = "chitter",
                           .interface = "tinc0",
                           .node = "parasect",
                           .address = "203.0.113.7"};

TEST(ParseTincHookTest, ReadsWhatItWrites) {
  EXPECT_EQ(TincHookLine(kUp),
            "up 6b0f8c2e 86400.120 1795453426 chitter tinc0 parasect 203.0.113.7\n");
  TincHookEvent down = kUp;
  down.up = false;
  const auto state = ParseTincHook(TincHookLine(kUp) + TincHookLine(down));
  ASSERT_THAT(state, IsOk());
  EXPECT_THAT(state->events, ElementsAre(kUp, down));
  EXPECT_EQ(state->lines_bad, 0U);
}

TEST(ParseTincHookTest, WritesNoLineThatBreaksTheNext) {
  TincHookEvent event = kUp;
  event.net = "";
  event.interface = "a b\nup";
  EXPECT_EQ(TincHookLine(event),
            "up 6b0f8c2e 86400.120 1795453426 - a_b_up parasect 203.0.113.7\n");
}

TEST(ParseTincHookTest, PassesOverTornAndForeignLines) {
  for (const char* text :
       {"\n", "up\n", "sideways b 1.0 1 n i node a\n", "up b x 1 n i node a\n",
        "up b -1 1 n i node a\n", "up b nan 1 n i node a\n", "up b 1.0 x n i node a\n",
        "up b 1e300 1 n i node a\n", "up b 1.0 1 n i no-de a\n", "up b 1.0 1  i node a\n",
        "up b 1.0 1 n i node a"}) {
    SCOPED_TRACE(text);
    const auto state = ParseTincHook(text);
    ASSERT_THAT(state, IsOk());
    EXPECT_THAT(state->events, IsEmpty());
    EXPECT_EQ(state->lines_bad, 1U);
  }
  EXPECT_EQ(ParseTincHook("")->lines_bad, 0U);
}

TEST(ParseTincHookTest, IsBounded) {
  EXPECT_THAT(ParseTincHook(std::string(100'001, '\n')),
              HasCode(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace fleet::agent
