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

constexpr uid_t kDaemon = 1;

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

/// A directory of root's, and in it one of the daemon's, who may be anybody by now.
class HostileDaemonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::IsRoot()) GTEST_SKIP() << "only root can give files away";
    ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
    for (const char* made : {"data", "etc", "opt"}) {
      ASSERT_EQ(::mkdir((dir_ / made).c_str(), 0755), 0);
    }
    ASSERT_EQ(::chown((dir_ / "data").c_str(), kDaemon, kDaemon), 0);
  }
  void Link(const std::string& target, const std::string& path, uid_t owner) {
    ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
    ASSERT_EQ(::lchown(path.c_str(), owner, owner), 0);
  }
  bool Exists(const std::string& name) {
    struct stat info = {};
    return ::lstat((dir_ / name).c_str(), &info) == 0;
  }

  test::TempDir dir_;
};

TEST_F(HostileDaemonTest, ALinkOfItsOwnLeadsRootNowhere) {
  Link(dir_ / "etc", dir_ / "data/tls", kDaemon);
  EXPECT_THAT(MakePrivateDirectory(dir_ / "data/tls"), IsOk());
  EXPECT_THAT(MakePrivateDirectory(dir_ / "data/tls/sub"),
              HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(WritePrivateFile(dir_ / "data/tls/key.pem", "text", FileKind::kKey),
              HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_FALSE(Exists("etc/key.pem"));
  EXPECT_FALSE(Exists("etc/key.pem.new"));
  EXPECT_EQ(StatOf(dir_ / "etc").st_uid, 0u);
}

TEST_F(HostileDaemonTest, NorDoesOneBehindALinkOfRoots) {
  Link(dir_ / "data/tls", dir_ / "etc/tls", 0);
  Link(dir_ / "opt", dir_ / "data/tls", kDaemon);
  EXPECT_THAT(WritePrivateFile(dir_ / "etc/tls/key.pem", "text", FileKind::kKey),
              HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_FALSE(Exists("opt/key.pem"));
}

TEST_F(HostileDaemonTest, ALinkOfRootsIsFollowed) {
  Link(dir_ / "opt", dir_ / "etc/tls", 0);
  Link("../data", dir_ / "etc/data", 0);
  EXPECT_THAT(WritePrivateFile(dir_ / "etc/tls/key.pem", "text"), IsOk());
  EXPECT_EQ(StatOf(dir_ / "opt/key.pem").st_uid, 0u);
  ASSERT_THAT(MakePrivateDirectory(dir_ / "etc/data/tls"), IsOk());
  EXPECT_THAT(WritePrivateFile(dir_ / "etc/data/tls/key.pem", "text"), IsOk());
  EXPECT_EQ(StatOf(dir_ / "data/tls/key.pem").st_uid, kDaemon);
  EXPECT_EQ(StatOf(dir_ / "data/tls/key.pem").st_gid, kDaemon);
}

TEST_F(HostileDaemonTest, ALoopOfLinksEnds) {
  Link("b", dir_ / "etc/a", 0);
  Link("a", dir_ / "etc/b", 0);
  EXPECT_FALSE(MakePrivateDirectory(dir_ / "etc/a").ok());
}

TEST_F(HostileDaemonTest, RootIsRootAgainAfterwards) {
  ASSERT_THAT(WritePrivateFile(dir_ / "data/key.pem", "text"), IsOk());
  ASSERT_THAT(WritePrivateFile(dir_ / "etc/key.pem", "text"), IsOk());
  EXPECT_EQ(StatOf(dir_ / "etc/key.pem").st_uid, 0u);
  test::WriteFile(dir_ / "etc/plain", "text");
  EXPECT_EQ(StatOf(dir_ / "etc/plain").st_uid, 0u);
}

TEST(PrivateFileTest, AKeyIsForItsOwnerAloneWhateverTheOldOneAllowed) {
  test::TempDir dir;
  const std::string path = dir / "key.pem";
  ASSERT_THAT(WritePrivateFile(path, "one"), IsOk());
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_THAT(WritePrivateFile(path, "two", FileKind::kKey), IsOk());
  EXPECT_EQ(StatOf(path).st_mode & 07777u, 0600u);
}

TEST(PrivateFileTest, RootsKeyStaysReadableForTheOneGroupThatUsesIt) {
  if (!test::IsRoot()) GTEST_SKIP() << "only root can give files away";
  const test::TempDir dir;
  const std::string path = dir / "key.pem";
  test::WriteFile(path, "old");
  ASSERT_EQ(::chown(path.c_str(), 0, 65534), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_THAT(WritePrivateFile(path, "new", FileKind::kKey), IsOk());
  EXPECT_EQ(StatOf(path).st_mode & 07777u, 0640u);
  EXPECT_EQ(StatOf(path).st_gid, 65534u);
}

TEST(PrivateFileTest, WhatWaitsIsSeenByNobodyAndGoesWhenItIsNotWanted) {
  test::TempDir dir;
  const std::string path = dir / "key.pem";
  ASSERT_THAT(WritePrivateFile(path, "old"), IsOk());
  {
    auto file = PendingFile::Create(path, FileKind::kKey, ".join");
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(file->Reserve(4096), IsOk());
    ASSERT_THAT(file->Write("new"), IsOk());
    EXPECT_EQ(test::ReadFile(path), "old");
    EXPECT_EQ(test::ReadFile(path + ".join"), "new");
  }
  EXPECT_EQ(test::ReadFile(path), "old");
  EXPECT_EQ(::access((path + ".join").c_str(), F_OK), -1);
}

}  // namespace
}  // namespace fleet
