#include "common/private_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

struct stat StatOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info;
}

TEST(PrivateFileTest, ANewFileIsPrivateAndAnOldOneStaysAsItIs) {
  test::TempDir dir;
  const std::string path = dir / "key.pem";
  ASSERT_THAT(WritePrivateFile(path, "one"), IsOk());
  EXPECT_EQ(test::ReadFile(path), "one");
  EXPECT_EQ(StatOf(path).st_mode & 07777u, 0600u);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_THAT(WritePrivateFile(path, "two"), IsOk());
  EXPECT_EQ(test::ReadFile(path), "two");
  EXPECT_EQ(StatOf(path).st_mode & 07777u, 0640u);
  EXPECT_EQ(::access((path + ".new").c_str(), F_OK), -1);
}

TEST(PrivateFileTest, WhatRootWritesBelongsToTheOwnerOfThePlace) {
  if (!test::IsRoot()) GTEST_SKIP() << "only root can give files away";
  test::TempDir dir;
  constexpr uid_t kDaemon = 1;
  ASSERT_EQ(::chown(dir.path().c_str(), kDaemon, kDaemon), 0);
  ASSERT_THAT(MakePrivateDirectory(dir / "a/tls"), IsOk());
  ASSERT_THAT(WritePrivateFile(dir / "a/tls/key.pem", "text"), IsOk());
  for (const char* made : {"a", "a/tls", "a/tls/key.pem"}) {
    EXPECT_EQ(StatOf(dir / made).st_uid, kDaemon) << made;
    EXPECT_EQ(StatOf(dir / made).st_mode & 077u, 0u) << made;
  }
}

TEST(PrivateFileTest, AFailureLeavesTheOldOne) {
  test::TempDir dir;
  EXPECT_THAT(WritePrivateFile(dir / "none/key.pem", "x"), HasCode(absl::StatusCode::kNotFound));
  ASSERT_THAT(MakePrivateDirectory(dir / "key.pem"), IsOk());
  EXPECT_FALSE(WritePrivateFile(dir / "key.pem", "x").ok());
  EXPECT_EQ(DirectoryOf("a"), ".");
  EXPECT_EQ(DirectoryOf("/a"), "/");
  EXPECT_EQ(DirectoryOf("/a/b"), "/a");
}

}  // namespace
}  // namespace fleet
