#include "common/join_token.h"

#include "tests/support/matchers.h"

namespace fleet {
namespace {

using ::fleet::test::IsOkAnd;
using ::fleet::test::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

const JoinToken kToken = {"0123456789abcdef",
                          "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                          "10.235.0.4:10235"};

TEST(JoinTokenTest, ComesBackAsItWas) {
  const std::string text = FormatJoinToken(kToken);
  EXPECT_EQ(text.find_first_of(" \n\"'/+$`\\"), std::string::npos)
      << "must survive a shell: " << text;
  EXPECT_THAT(ParseJoinToken(text), IsOkAnd(kToken));
  EXPECT_THAT(ParseJoinToken(absl::StrCat("  ", text, "\n")), IsOkAnd(kToken));
}

TEST(JoinTokenTest, RefusesWhatIsNoneWithoutRepeatingIt) {
  const std::string text = FormatJoinToken(kToken);
  JoinToken nowhere = kToken;
  nowhere.collector = "10.235.0.4";
  for (const std::string& bad :
       {std::string(), std::string("fleet1."), text.substr(0, 60), text.substr(1), text + "!",
        std::string("fleet2.") + text.substr(7), FormatJoinToken(nowhere),
        std::string(5000, 'A')}) {
    SCOPED_TRACE(bad.substr(0, 80));
    EXPECT_THAT(ParseJoinToken(bad),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         ::testing::AllOf(HasSubstr("this is no token"), Not(HasSubstr("AAAA")))));
  }
}

}  // namespace
}  // namespace fleet
