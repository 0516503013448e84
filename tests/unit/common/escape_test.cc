#include "common/escape.h"

#include "tests/support/matchers.h"

namespace fleet {
namespace {

TEST(EscapeTest, QuotesWhatCameFromOutside) {
  EXPECT_EQ(Quote("plain"), R"("plain")");
  EXPECT_EQ(Quote("grün \"x\"\n\x01"), R"("grün \"x\"\n\x01")");
  EXPECT_EQ(Quote("a\xff\xc3"), R"("a\xff\xc3")");
  EXPECT_EQ(Quote("grün", 3), "\"gr…\"");
}

TEST(EscapeTest, PutsADaemonsWordsOnOneLine) {
  EXPECT_EQ(OneLine("  ERR \n no\tsuch thing \n"), "ERR no such thing");
  EXPECT_EQ(OneLine("x\xfey"), R"(x\xfey)");
  EXPECT_EQ(OneLine(R"(put 'local' into "C:\x")"), R"(put 'local' into "C:\x")");
  EXPECT_EQ(OneLine(OneLine("a\x01'b'")), R"(a\x01'b')");
  EXPECT_EQ(OneLine("grün", 3), "gr…");
}

}  // namespace
}  // namespace fleet
