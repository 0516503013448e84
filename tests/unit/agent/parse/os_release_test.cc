#include "agent/parse/os_release.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ParseOsReleaseTest, ReadsWhatADistributionWrites) {
  const auto release = ParseOsRelease(
      "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"
      "NAME='Debian GNU/Linux'\n"
      "# a comment\n"
      "ID=debian\n"
      "VERSION_ID=\"12\"\n"
      "HOME_URL=\"https://www.debian.org/\"\n"
      "VARIANT=\"say \\\"hi\\\" for \\$5\"\n");
  ASSERT_THAT(release, IsOk());
  OsRelease expected;
  expected.pretty_name = "Debian GNU/Linux 12 (bookworm)";
  expected.name = "Debian GNU/Linux";
  expected.id = "debian";
  expected.version_id = "12";
  expected.variant = "say \"hi\" for $5";
  EXPECT_EQ(*release, expected);
}

TEST(ParseOsReleaseTest, SkipsWhatItDoesNotKnow) {
  for (const char* text : {"", "\n", "=\n", "NOVELTY=\"\n", "no equals\n", "NAME\n", "name=x\n"}) {
    SCOPED_TRACE(text);
    const auto release = ParseOsRelease(text);
    ASSERT_THAT(release, IsOk());
    EXPECT_EQ(*release, OsRelease());
  }
}

TEST(ParseOsReleaseTest, RejectsMalformedText) {
  for (const char* text : {"NAME=\"", "NAME='x\n", "ID=x\nVERSION=\"a\\\"\n", "NAME=x\"y\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseOsRelease(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(OsVersionNumberTest, TakesMajorAndMinor) {
  EXPECT_EQ(OsVersionNumber("12"), 12);
  EXPECT_EQ(OsVersionNumber("20.04"), 20.04);
  EXPECT_EQ(OsVersionNumber("20.04.3"), 20.04);
  EXPECT_EQ(OsVersionNumber("7-beta"), 7);
  EXPECT_EQ(OsVersionNumber("sid"), 0);
  EXPECT_EQ(OsVersionNumber(".5"), 0);
  EXPECT_EQ(OsVersionNumber(""), 0);
}

}  // namespace
}  // namespace fleet::agent
