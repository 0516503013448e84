#include "collector/web/markdown.h"

#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MarkdownTest, RendersWhatAnnouncementsNeed) {
  EXPECT_EQ(MarkdownToHtml(
                "Uploads are **slow**, *not* `lost`.\n\nSee [the plan](https://x.org/?a=1&b=2)."),
            "<p>Uploads are <strong>slow</strong>, <em>not</em> <code>lost</code>.</p>\n"
            "<p>See <a href=\"https://x.org/?a=1&amp;b=2\">the plan</a>.</p>\n");
  EXPECT_EQ(MarkdownToHtml("- one\n- two\n"), "<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n");
  EXPECT_EQ(MarkdownToHtml("# Big\ntext"), "<p><strong>Big</strong></p>\n<p>text</p>\n");
  EXPECT_EQ(MarkdownToHtml("<https://x.org>"),
            "<p><a href=\"https://x.org\">https://x.org</a></p>\n");
  EXPECT_EQ(MarkdownToHtml("```c++\nint x;\n```"), "<pre><code>int x;\n</code></pre>\n");
  EXPECT_EQ(MarkdownToHtml(""), "");
}

TEST(MarkdownTest, ShowsHtmlAsItIsWritten) {
  EXPECT_EQ(MarkdownToHtml("<script>alert(1)</script>"),
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n");
  EXPECT_EQ(MarkdownToHtml("a <img src=x onerror=alert(1)> b"),
            "<p>a &lt;img src=x onerror=alert(1)&gt; b</p>\n");
  EXPECT_EQ(MarkdownToHtml("<!-- c -->"), "<p>&lt;!-- c --&gt;</p>\n");
}

TEST(MarkdownTest, LinksLeadToTheWebOrNowhere) {
  for (const char* url :
       {"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "//x.org", "vbscript:x",
        "file:///etc/passwd", "mailto:a@b.c", "/relative", "java&#115;cript:x"}) {
    SCOPED_TRACE(url);
    const std::string html = MarkdownToHtml(absl::StrCat("[word](", url, ") <", url, ">"));
    EXPECT_THAT(html, Not(HasSubstr("<a")));
    EXPECT_THAT(html, HasSubstr("word"));
  }
  EXPECT_EQ(MarkdownToHtml("![a *cat*](https://x.org/c.png)"), "<p>a <em>cat</em></p>\n");
  EXPECT_EQ(MarkdownToHtml("[a](https://x.org \"onclick\")"),
            "<p><a href=\"https://x.org\">a</a></p>\n");
  EXPECT_EQ(MarkdownToHtml("[![b](c)](javascript:x)"), "<p>b</p>\n");
}

TEST(MarkdownTest, TakesWhatIsNoText) {
  EXPECT_EQ(MarkdownToHtml(absl::string_view("a\0b\xff", 4)),
            "<p>a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD</p>\n");
}

TEST(MarkdownTest, DeepNestingIsBounded) {
  const std::string deep(8 << 10, '>');
  EXPECT_THAT(MarkdownToHtml(deep), HasSubstr("<blockquote>"));
  MarkdownToHtml(std::string(8 << 10, '['));
  MarkdownToHtml(std::string(8 << 10, '*') + "a" + std::string(100, '_'));
}

TEST(MarkdownTest, KeepsTheWordsForThoseWhoTakeNoHtml) {
  EXPECT_EQ(MarkdownToText("# Slow *uploads*\n\nWe `look`\ninto [it](https://x.org).\n\n- a\n- b"),
            "Slow uploads\nWe look into it.\na\nb");
  EXPECT_EQ(MarkdownToText("<b>x</b>"), "<b>x</b>");
  EXPECT_EQ(MarkdownToText("\n\n"), "");
}

}  // namespace
}  // namespace fleet::collector
