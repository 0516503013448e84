#include "agent/parse/text.h"

#include <cmath>
#include <string>

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

/// Compares with what ParseNumber takes the place of, down to the last bit.
void ExpectAsSimpleAtod(absl::string_view text) {
  SCOPED_TRACE(text);
  double expected = 0;
  double value = 0;
  const bool good = absl::SimpleAtod(text, &expected);
  EXPECT_EQ(ParseNumber(text, value), good);
  if (!good) return;
  EXPECT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected)));
  EXPECT_EQ(std::signbit(value), std::signbit(expected));
}

TEST(ParseNumberTest, ReadsAsSimpleAtodDoes) {
  for (const char* text : {"0",
                           "1",
                           "007",
                           "999999999999999",
                           "9999999999999999",
                           "18446744073709551616",
                           "0.1",
                           "0.3",
                           "1.",
                           ".5",
                           "0.000000000000001",
                           "123456.789012345",
                           "99999999999999.9",
                           "1234567.890123456",
                           "1795684246.932810",
                           "-1",
                           "-0",
                           "+2",
                           "1e3",
                           "1.5e-7",
                           "inf",
                           "nan",
                           " 4",
                           "5 ",
                           "0x10"}) {
    ExpectAsSimpleAtod(text);
  }
}

TEST(ParseNumberTest, RejectsWhatSimpleAtodRejects) {
  for (const char* text : {"", ".", "..", "1.2.3", "1..2", "x", "1x", "1.x", "-", "1,5"}) {
    ExpectAsSimpleAtod(text);
  }
}

TEST(ParseNumberTest, RoundsEveryFractionAsSimpleAtodDoes) {
  uint64_t digits = 1;
  for (int i = 0; i < 20'000; ++i) {
    digits = digits * 6364136223846793005U + 1442695040888963407U;
    std::string text = std::to_string(digits % 1'000'000'000'000'000U);
    text.insert(static_cast<size_t>(digits >> 60) % (text.size() + 1), ".");
    ExpectAsSimpleAtod(text);
  }
}

}  // namespace
}  // namespace fleet::agent
