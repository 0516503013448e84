#include "agent/parse/mountinfo.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseMountinfoTest, ReadsAnyNumberOfOptionalFields) {
  for (const char* optional : {"", "shared:1 ", "shared:1 master:2 propagate_from:3 "}) {
    SCOPED_TRACE(optional);
    EXPECT_THAT(ParseMountinfo(absl::StrCat("36 35 254:17 /sub /mnt/a\\040b rw,noatime ", optional,
                                            "- ext4 /dev/vdb1 ro,errors=remount-ro\n")),
                IsOkAnd(ElementsAre(Mount{.major = 254,
                                          .minor = 17,
                                          .root = "/sub",
                                          .mount_point = "/mnt/a b",
                                          .options = "rw,noatime",
                                          .type = "ext4",
                                          .source = "/dev/vdb1",
                                          .super_options = "ro,errors=remount-ro"})));
  }
}

TEST(ParseMountinfoTest, KeepsTheSourceAsTheKernelWritesIt) {
  const auto mounts = ParseMountinfo(
      "1 2 0:40 / /srv rw - cifs //nas/my\\040share rw\n3 4 0:41 / /x rw - tmpfs  rw\n");
  ASSERT_THAT(mounts, IsOk());
  EXPECT_EQ((*mounts)[0].source, "//nas/my\\040share");
  EXPECT_EQ((*mounts)[1].source, "");
}

TEST(ParseMountinfoTest, KnowsReadOnlyByMountAndByFilesystem) {
  for (const auto& [options, super_options, expected] :
       {std::tuple("rw", "rw", false), std::tuple("ro,nosuid", "rw", true),
        std::tuple("rw", "ro", true), std::tuple("rw", "rw,emergency_ro", true),
        std::tuple("rw", "rw,errors=remount-ro", false)}) {
    Mount mount;
    mount.options = options;
    mount.super_options = super_options;
    EXPECT_EQ(mount.read_only(), expected) << options << " " << super_options;
  }
}

TEST(ParseMountinfoTest, UnescapesOctalOnly) {
  EXPECT_EQ(UnescapeOctal(R"(a\040b\011c\012d\134e\043)"), "a b\tc\nd\\e#");
  EXPECT_EQ(UnescapeOctal(R"(\08 \4 \ \777 \x41)"), R"(\08 \4 \ \777 \x41)");
  EXPECT_EQ(UnescapeOctal(R"(\303\274)"), "ü");
}

TEST(ParseMountinfoTest, NoMountsAreNoError) {
  EXPECT_THAT(ParseMountinfo(""), IsOkAnd(IsEmpty()));
}

TEST(ParseMountinfoTest, RejectsMalformedText) {
  for (const char* text :
       {"x\n", "36 35 254:17 / /mnt rw\n", "36 35 254:17 / /mnt rw - ext4\n",
        "36 35 254:17 / /mnt rw - ext4 /dev/vdb\n", "36 35 254 / /mnt rw - ext4 /dev/vdb rw\n",
        "36 35 x:y / /mnt rw - ext4 /dev/vdb rw\n", "36 35 -1:0 / /mnt rw - ext4 /dev/vdb rw\n",
        "36 35 254:17 / mnt rw - ext4 /dev/vdb rw\n", "36 35 254:17 /  rw - ext4 /dev/vdb rw\n",
        "36 35 254:17 / /mnt rw -  /dev/vdb rw\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseMountinfo(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseMountinfoTest, BoundsMounts) {
  std::string text;
  for (int i = 0; i < 66000; ++i) text += "1 2 0:1 / /m rw - t s rw\n";
  EXPECT_THAT(ParseMountinfo(text), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace fleet::agent
