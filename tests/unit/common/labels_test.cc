#include "common/labels.h"

#include "tests/support/matchers.h"

namespace fleet {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::Pair;

std::string Rendered(absl::Span<const Label> labels) {
  std::string text;
  AppendLabels(labels, text);
  return text;
}

TEST(LabelsTest, EscapesAndReadsBackTheSame) {
  const std::string text = Rendered({{"a", "x\\y\"z\nw"}, {"b", "grün"}, {"c", ""}});
  EXPECT_EQ(text, R"(a="x\\y\"z\nw",b="grün",c="")");
  EXPECT_THAT(ParseLabels(text),
              IsOkAnd(ElementsAre(Pair("a", "x\\y\"z\nw"), Pair("b", "grün"), Pair("c", ""))));
}

TEST(LabelsTest, ReplacesBytesThatAreNotUtf8) {
  EXPECT_EQ(Rendered({{"a", "x\xff\xc0\xafy\xed\xa0\x80"}}), R"(a="x???y???")");
}

TEST(LabelsTest, CutsALongValueAtACharacter) {
  const std::string text = Rendered({{"a", std::string(kLabelValueBytesMax - 1, 'x') + "ü"}});
  EXPECT_EQ(text.size(), kLabelValueBytesMax - 1 + 4);
}

TEST(LabelsTest, RejectsMalformedText) {
  for (const char* text :
       {"a", "a=", "a=x", "a=\"x", "=\"x\"", "1a=\"x\"", "a=\"x\"b=\"y\"", "a=\"x\",", "a=\"\\q\"",
        "a=\"x\\", "a=\"\xff\"", "a=\"x\",a=\"y\"", "a-b=\"x\"", "a=\"x\ny\""}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseLabels(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet
