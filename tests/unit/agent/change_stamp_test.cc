#include "agent/change_stamp.h"

#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::TempHost;

TEST(ChangeStampTest, BelievesAFileThatWasLeftAlone) {
  TempHost host;
  host.Write("etc/os-release", "ID=a\n");
  ChangeStamp stamp(host.fs(), "etc/os-release");
  const absl::Time later = absl::Now() + absl::Minutes(1);
  EXPECT_TRUE(stamp.MayHaveChanged(later));
  EXPECT_TRUE(stamp.exists());
  EXPECT_FALSE(stamp.MayHaveChanged(later));
  EXPECT_FALSE(stamp.MayHaveChanged(later));
}

TEST(ChangeStampTest, DoesNotBelieveAFileThatHasJustChanged) {
  TempHost host;
  host.Write("etc/os-release", "ID=a\n");
  ChangeStamp stamp(host.fs(), "etc/os-release");
  EXPECT_TRUE(stamp.MayHaveChanged());
  EXPECT_TRUE(stamp.MayHaveChanged());
  // Nor by a clock that was set back.
  EXPECT_TRUE(stamp.MayHaveChanged(absl::Now() - absl::Hours(1)));
  EXPECT_TRUE(stamp.MayHaveChanged(absl::Now() - absl::Hours(1)));
}

TEST(ChangeStampTest, SeesAnotherFileUnderTheName) {
  TempHost host;
  host.Write("etc/os-release", "ID=a\n").Write("etc/new", "ID=b\n");
  ChangeStamp stamp(host.fs(), "etc/os-release");
  const absl::Time later = absl::Now() + absl::Minutes(1);
  EXPECT_TRUE(stamp.MayHaveChanged(later));
  EXPECT_FALSE(stamp.MayHaveChanged(later));
  host.Remove("etc/os-release").Link("etc/os-release", "new");
  EXPECT_TRUE(stamp.MayHaveChanged(later));
  EXPECT_FALSE(stamp.MayHaveChanged(later));
}

TEST(ChangeStampTest, SeesFilesComeAndGo) {
  TempHost host;
  host.Write("run/udev/data/b8:0", "E:ID_MODEL=x\n");
  ChangeStamp file(host.fs(), "run/udev/data/b8:16");
  const absl::Time later = absl::Now() + absl::Minutes(1);
  EXPECT_TRUE(file.MayHaveChanged(later));
  EXPECT_FALSE(file.MayHaveChanged(later));
  EXPECT_FALSE(file.exists());
  host.Write("run/udev/data/b8:16", "E:ID_MODEL=y\n");
  EXPECT_TRUE(file.MayHaveChanged(later));
  EXPECT_TRUE(file.exists());
  host.Remove("run/udev/data/b8:16");
  EXPECT_TRUE(file.MayHaveChanged(later));
  EXPECT_FALSE(file.exists());
}

TEST(ChangeStampTest, SeesThatAFolderChanged) {
  TempHost host;
  host.Write("run/udev/data/b8:0", "E:ID_MODEL=x\n");
  ChangeStamp folder(host.fs(), "run/udev/data");
  const absl::Time later = absl::Now() + absl::Minutes(1);
  EXPECT_TRUE(folder.MayHaveChanged(later));
  EXPECT_FALSE(folder.MayHaveChanged(later));
  // Within one tick of the kernel's clock the times would be the same.
  bool changed = false;
  for (int i = 0; i < 100'000 && !changed; ++i) {
    host.Write("run/udev/data/b8:16", "").Remove("run/udev/data/b8:16");
    changed = folder.MayHaveChanged(later);
  }
  EXPECT_TRUE(changed);
}

}  // namespace
}  // namespace fleet::agent
