#include "common/file_system.h"

#include "tests/support/forgetful_file_system.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::test {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;

/// Both must behave alike as long as the power stays on.
struct Disk {
  explicit Disk(bool real) : files(real ? FileSystem::Real() : forgetful) {
    directory = real ? dir.path() + "/a/b" : "/a/b";
    EXPECT_THAT(MakeDirectories(files, directory), IsOk());
  }
  std::string operator/(absl::string_view name) const { return absl::StrCat(directory, "/", name); }

  TempDir dir;
  ForgetfulFileSystem forgetful;
  FileSystem& files;
  std::string directory;
};

class FileSystemTest : public testing::TestWithParam<bool> {};

TEST_P(FileSystemTest, AppendsReadsCutsAndLists) {
  Disk disk(GetParam());
  {
    auto file = disk.files.Create(disk / "one");
    ASSERT_THAT(file.status(), IsOk());
    EXPECT_THAT((*file)->Append("hello "), IsOk());
    EXPECT_THAT((*file)->Append("world"), IsOk());
    EXPECT_THAT((*file)->Sync(), IsOk());
  }
  EXPECT_EQ(disk.files.Create(disk / "one").status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*disk.files.Read(disk / "one", 6, 3), "wor");
  EXPECT_EQ(*disk.files.Read(disk / "one", 99, 3), "");
  EXPECT_THAT(disk.files.Truncate(disk / "one", 5), IsOk());
  EXPECT_THAT((*disk.files.OpenToAppend(disk / "one"))->Append("!"), IsOk());
  EXPECT_EQ(*ReadWhole(disk.files, disk / "one", 6), "hello!");
  EXPECT_EQ(ReadWhole(disk.files, disk / "one", 5).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(disk.files.Rename(disk / "one", disk / "two"), IsOk());
  EXPECT_THAT(MakeDirectories(disk.files, disk / "sub"), IsOk());
  EXPECT_THAT(
      *disk.files.List(disk.directory),
      ElementsAre(Field(&FileSystem::Entry::name, "sub"), Field(&FileSystem::Entry::name, "two")));
  EXPECT_THAT(disk.files.Remove(disk / "two"), IsOk());
  EXPECT_TRUE(absl::IsNotFound(disk.files.Remove(disk / "two")));
  EXPECT_TRUE(absl::IsNotFound(disk.files.OpenToAppend(disk / "two").status()));
  EXPECT_TRUE(absl::IsNotFound(disk.files.List(disk / "nowhere").status()));
}

TEST_P(FileSystemTest, ReplacesAFileAsAWhole) {
  Disk disk(GetParam());
  EXPECT_THAT(WriteWhole(disk.files, disk / "f", "first"), IsOk());
  EXPECT_THAT(WriteWhole(disk.files, disk / "f", "second"), IsOk());
  EXPECT_EQ(*ReadWhole(disk.files, disk / "f", 100), "second");
}

INSTANTIATE_TEST_SUITE_P(Both, FileSystemTest, testing::Bool());

TEST(ForgetfulFileSystemTest, LosesWhatWasNotSynced) {
  // With enough luck everything survives; over a few disks something must be lost.
  int names_lost = 0;
  int bytes_lost = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ForgetfulFileSystem files(seed);
    ASSERT_THAT(MakeDirectories(files, "/d"), IsOk());
    auto synced = files.Create("/d/synced");
    ASSERT_THAT((*synced)->Append("kept"), IsOk());
    ASSERT_THAT((*synced)->Sync(), IsOk());
    ASSERT_THAT(files.SyncDirectory("/d"), IsOk());
    ASSERT_THAT((*synced)->Append(" and lost"), IsOk());
    ASSERT_THAT((*files.Create("/d/nameless"))->Sync(), IsOk());
    files.Crash();
    const std::string left = *files.Read("/d/synced", 0, 100);
    EXPECT_THAT(left, testing::StartsWith("kept"));
    bytes_lost += left.size() < 13 ? 1 : 0;
    names_lost += files.List("/d")->size() < 2 ? 1 : 0;
    EXPECT_EQ((*synced)->Append("x").code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_GT(bytes_lost, 0);
  EXPECT_GT(names_lost, 0);
}

TEST(ForgetfulFileSystemTest, LosesADirectoryWithAllThatIsInItUntilItsNameIsSynced) {
  int lost = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ForgetfulFileSystem files(seed);
    ASSERT_THAT(files.MakeDirectory("/d"), IsOk());
    ASSERT_THAT(WriteWhole(files, "/d/f", "synced in a directory without a name"), IsOk());
    files.Crash();
    lost += files.Read("/d/f", 0, 100).ok() ? 0 : 1;
    EXPECT_EQ(files.List("/d").ok(), files.Read("/d/f", 0, 100).ok());
  }
  EXPECT_GT(lost, 0);
}

TEST(ForgetfulFileSystemTest, DirectoriesThatWereMadeAreThereWhereverThePowerGoes) {
  ForgetfulFileSystem count;
  ASSERT_THAT(MakeDirectories(count, "/a/b/c"), IsOk());
  for (uint64_t cut = 0; cut <= count.changes(); ++cut) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      ForgetfulFileSystem files(seed);
      files.CutAfter(cut);
      // The process dies with the disk still running and another finds what it made.
      if (!MakeDirectories(files, "/a/b/c").ok()) {
        files.CutAfter(~uint64_t{0});
        ASSERT_THAT(MakeDirectories(files, "/a/b/c"), IsOk());
      }
      files.Crash();
      EXPECT_THAT(files.List("/a/b/c").status(), IsOk()) << "cut after " << cut;
    }
  }
}

TEST(ForgetfulFileSystemTest, AFileIsReplacedAsAWholeWhereverThePowerGoes) {
  ForgetfulFileSystem count;
  ASSERT_THAT(MakeDirectories(count, "/d"), IsOk());
  ASSERT_THAT(WriteWhole(count, "/d/f", "first"), IsOk());
  const uint64_t before = count.changes();
  ASSERT_THAT(WriteWhole(count, "/d/f", "second"), IsOk());
  for (uint64_t cut = before; cut <= count.changes(); ++cut) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      ForgetfulFileSystem files(seed);
      ASSERT_THAT(MakeDirectories(files, "/d"), IsOk());
      ASSERT_THAT(WriteWhole(files, "/d/f", "first"), IsOk());
      files.CutAfter(cut);
      const bool done = WriteWhole(files, "/d/f", "second").ok();
      files.Crash();
      const std::string left = *ReadWhole(files, "/d/f", 100);
      EXPECT_TRUE(left == "second" || (!done && left == "first")) << cut << " left " << left;
    }
  }
}

TEST(ForgetfulFileSystemTest, AFullDiskTakesWhatFits) {
  ForgetfulFileSystem files;
  ASSERT_THAT(MakeDirectories(files, "/d"), IsOk());
  auto file = files.Create("/d/f");
  files.SetSpace(4);
  EXPECT_EQ((*file)->Append("hello").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*files.Read("/d/f", 0, 100), "hell");
  files.SetSpace(std::nullopt);
  EXPECT_THAT((*file)->Append("o"), IsOk());
}

}  // namespace
}  // namespace fleet::test
