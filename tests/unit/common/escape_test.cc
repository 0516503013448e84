#include "common/escape.h"

#include "tests/support/matchers.h"

namespace fleet {
namespace {

TEST(EscapeTest, QuotesWhatCameFromOutside) {
  EXPECT_EQ(Quote("plain"), R"("plain")");
  EXPECT_EQ(Quote("grün \"x\"\n\x01"), R"("grün \"x\"\n\x01")");
  EXPECT_EQ(Quote("a\xff\xc3"), R"("a\xff\xc3")");
  EXPECT_EQ(Quote("grün", 5), R"("grün")");
  EXPECT_EQ(Quote("grüner", 6), R"("gr…")");
  EXPECT_EQ(Quote("\xff\xff\xff", 11), R"("\xff\xff…")");
}

TEST(EscapeTest, PutsADaemonsWordsOnOneLine) {
  EXPECT_EQ(OneLine("  ERR \n no\tsuch thing \n"), "ERR no such thing");
  EXPECT_EQ(OneLine("x\xfey"), R"(x\xfey)");
  EXPECT_EQ(OneLine(R"(put 'local' into "C:\x")"), R"(put 'local' into "C:\x")");
  EXPECT_EQ(OneLine(OneLine("a\x01'b'")), R"(a\x01'b')");
  EXPECT_EQ(OneLine("grün", 5), "grün");
  EXPECT_EQ(OneLine("grüner", 6), "gr…");
  EXPECT_EQ(OneLine("grün   \n", 5), "grün");
  EXPECT_EQ(OneLine("grün   \n x", 5), "gr…");
  // What is cut is not cut again, whatever it was made of.
  for (const char byte : {'a', ' ', '\x97', '\n', '\xc3', '\\'}) {
    for (const size_t size : {9, 10, 11, 12, 100}) {
      const std::string line = OneLine("x" + std::string(size, byte) + "grün", 10);
      EXPECT_LE(line.size(), 10u) << line;
      EXPECT_EQ(OneLine(line, 10), line);
    }
  }
}

}  // namespace
}  // namespace fleet
