#include "agent/parse/file_nr.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ParseFileNrTest, ReadsTheKernelsLine) {
  const auto files = ParseFileNr("1723\t0\t9223372036854775807\n");
  ASSERT_THAT(files, IsOk());
  EXPECT_EQ(files->allocated, 1723);
  EXPECT_EQ(files->maximum, 9223372036854775807u);
}

TEST(ParseFileNrTest, RejectsMalformedText) {
  for (const char* text : {"", "\n", "1", "1 2", "1 2 x", "-1 0 5", "1,0,5"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseFileNr(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
