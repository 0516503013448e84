// What the kernel announces reaches the check at once.
#include "agent/watcher.h"

#include <sched.h>
#include <sys/mount.h>

#include <atomic>
#include <map>

#include "absl/strings/match.h"
#include "agent/kept_file.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::IsRoot;
using ::fleet::test::RunProgram;
using ::fleet::test::TempDir;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;

class WatcherTest : public ::testing::Test {
 protected:
  int triggers(const std::string& check) {
    MutexLock lock(mutex_);
    return triggers_[check];
  }

  Mutex mutex_;
  std::map<std::string, int> triggers_;
  Watcher watcher_{HostFs("/"), [this](const std::string& check) {
                     MutexLock lock(mutex_);
                     ++triggers_[check];
                   }};
};

TEST_F(WatcherTest, SeesAFileAppearGrowAndBeReplaced) {
  const TempDir dir;
  const std::string path = dir / "events";
  watcher_.Update("tinc", {{Watch::Kind::kFileChanged, path.substr(1), ""}});
  // The watch is set by the watcher's own thread: write until it has seen one.
  ASSERT_TRUE(WaitFor([&] {
    WriteFile(path, "up\n");
    return triggers("tinc") > 0;
  }));
  const int before = triggers("tinc");
  WriteFile(dir / "events.new", "down\n");
  ASSERT_EQ(RunProgram({"mv", dir / "events.new", path}).exit_code, 0);
  EXPECT_TRUE(WaitFor([&] { return triggers("tinc") > before; }));
}

TEST_F(WatcherTest, ForgetsWhatACheckNoLongerWatches) {
  const TempDir dir;
  const Watch first{Watch::Kind::kFileChanged, (dir / "first").substr(1), ""};
  const Watch second{Watch::Kind::kFileChanged, (dir / "second").substr(1), ""};
  watcher_.Update("a", {first});
  watcher_.Update("b", {second});
  ASSERT_TRUE(WaitFor([&] {
    WriteFile(dir / "first", "x");
    WriteFile(dir / "second", "x");
    return triggers("a") > 0 && triggers("b") > 0;
  }));
  watcher_.Update("a", {});
  // Both files change; once b has seen that, a would have, too.
  const auto settled = [&] {
    const int a = triggers("a");
    const int b = triggers("b");
    WriteFile(dir / "first", "x");
    WriteFile(dir / "second", "x");
    return WaitFor([&] { return triggers("b") > b; }) && triggers("a") == a;
  };
  EXPECT_TRUE(WaitFor(settled));
}

TEST_F(WatcherTest, AFileThatCannotBeWatchedIsLeftToTheInterval) {
  const TempDir dir;
  watcher_.Update("raid", {{Watch::Kind::kPollPriority, "nonexistent/mdstat", ""},
                           {Watch::Kind::kPressure, "proc/pressure/memory", "nonsense"},
                           {Watch::Kind::kFileChanged, (dir / "events").substr(1), ""}});
  EXPECT_TRUE(WaitFor([&] {
    WriteFile(dir / "events", "x");
    return triggers("raid") > 0;
  }));
}

/// Mounts and links of this test alone.
class WatcherInNamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!IsRoot()) GTEST_SKIP() << "namespaces of its own: needs root";
    ASSERT_EQ(::unshare(CLONE_NEWNET | CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    watcher_ = std::make_unique<Watcher>(HostFs("/"), [this](const std::string&) { ++triggers_; });
  }

  std::atomic<int> triggers_ = 0;
  std::unique_ptr<Watcher> watcher_;
};

TEST_F(WatcherInNamespacesTest, SeesAMountComeAndGo) {
  const TempDir dir;
  watcher_->Update("disk", {{Watch::Kind::kPollPriority, "proc/thread-self/mountinfo", ""}});
  ASSERT_TRUE(WaitFor([&] {
    EXPECT_EQ(::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=64k"), 0);
    EXPECT_EQ(::umount2(dir.path().c_str(), MNT_DETACH), 0);
    return triggers_ > 0;
  }));
  const int before = triggers_;
  ASSERT_EQ(::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=64k"), 0);
  EXPECT_TRUE(WaitFor([&] { return triggers_ > before; }));
  const int mounted = triggers_;
  ASSERT_EQ(::mount(nullptr, dir.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  ASSERT_EQ(::umount2(dir.path().c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(WaitFor([&] { return triggers_ > mounted; }));
}

TEST_F(WatcherInNamespacesTest, AKeptFileTellsWhetherMountsChanged) {
  const TempDir dir;
  KeptFile mounts(HostFs("/"), "proc/thread-self/mountinfo", KeptFile::Records::kMany);
  const auto mounted = [&] { return absl::StrContains(mounts.Read().value_or(""), dir.path()); };
  EXPECT_TRUE(mounts.MayHaveChanged());
  EXPECT_FALSE(mounted());
  EXPECT_FALSE(mounts.MayHaveChanged());
  ASSERT_EQ(::mount("tmpfs", dir.path().c_str(), "tmpfs", 0, "size=64k"), 0);
  EXPECT_TRUE(mounts.MayHaveChanged());
  EXPECT_FALSE(mounts.MayHaveChanged());
  EXPECT_TRUE(mounted());
  ASSERT_EQ(::mount(nullptr, dir.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
  EXPECT_TRUE(mounts.MayHaveChanged());
  ASSERT_EQ(::umount2(dir.path().c_str(), MNT_DETACH), 0);
  EXPECT_TRUE(mounts.MayHaveChanged());
  EXPECT_FALSE(mounted());
}

TEST_F(WatcherInNamespacesTest, SeesALinkChange) {
  watcher_->Update("network", {{Watch::Kind::kLinks, "", ""}});
  bool up = false;
  EXPECT_TRUE(WaitFor([&] {
    up = !up;
    EXPECT_EQ(RunProgram({"ip", "link", "set", "lo", up ? "up" : "down"}).exit_code, 0);
    return triggers_ > 0;
  }));
}

}  // namespace
}  // namespace fleet::agent
