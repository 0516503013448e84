// The disk check on this machine, with FUSE filesystems that hang, answer and die.
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "agent/checks/disk_check.h"
#include "agent/checks/filesystem_stats.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::Process;
using ::fleet::test::TempDir;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kHelper[] = FLEET_TEST_PROGRAMS "/statfs_helper";
constexpr char kFakeFs[] = FLEET_TEST_PROGRAMS "/fake_stuck_fs";

/// A FUSE filesystem of our own, unmounted and ended whatever happens.
class FuseMount {
 public:
  FuseMount(const std::string& directory, const std::string& mode) : directory_(directory) {
    std::filesystem::create_directory(directory_);
    server_.emplace(std::vector<std::string>{kFakeFs, directory_, mode});
    mounted_ = test::WaitFor([this] {
      return absl::StrContains(test::ReadFile("/proc/self/mountinfo"),
                               absl::StrCat(" ", directory_, " "));
    });
  }
  ~FuseMount() {
    server_->Kill(SIGKILL);
    ::umount2(directory_.c_str(), MNT_DETACH);
  }

  bool mounted() const { return mounted_; }
  void KillServer() {
    server_->Kill(SIGKILL);
    server_->Wait(absl::Seconds(10));
  }

 private:
  const std::string directory_;
  std::optional<Process> server_;
  bool mounted_ = false;
};

/// Children of this process that are helpers.
int Helpers() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string status = test::ReadFile(entry.path().string() + "/status");
    if (absl::StrContains(status, "fleet-statfs") &&
        absl::StrContains(status, absl::StrCat("PPid:\t", ::getpid(), "\n"))) {
      ++count;
    }
  }
  return count;
}

class DiskTest : public ::testing::Test {
 protected:
  DiskTest() : runner_(HostFs("/")) {
    runner_.UseRealClock();
    runner_.env().program = kHelper;
  }

  CheckResult Run(Check& check) {
    const absl::Time start = absl::Now();
    CheckResult result = runner_.Run(check);
    took_ = absl::Now() - start;
    return result;
  }

  CheckRunner runner_;
  TempDir dir_;
  absl::Duration took_;
};

TEST_F(DiskTest, HelpersAnswerAsStatvfsDoes) {
  const auto stats = MakeFilesystemStats(kHelper);
  const std::vector<std::string> paths = {"/", "/proc", dir_ / "none"};
  for (int i = 0; i < 3; ++i) {
    const auto results = stats->Remote(paths, absl::Seconds(10));
    ASSERT_EQ(results.size(), 3u);
    ASSERT_THAT(results[0], IsOk());
    EXPECT_EQ(results[0]->size_bytes, stats->Local("/")->size_bytes);
    EXPECT_THAT(results[1], IsOk());
    EXPECT_THAT(results[2], HasCode(absl::StatusCode::kNotFound));
  }
  EXPECT_EQ(Helpers(), 3);
  EXPECT_TRUE(stats->Remote({}, absl::Seconds(1)).empty());
  EXPECT_EQ(Helpers(), 0);
}

TEST_F(DiskTest, AHelperThatIsKilledIsReplaced) {
  const auto stats = MakeFilesystemStats(kHelper);
  const std::vector<std::string> paths = {"/"};
  ASSERT_THAT(stats->Remote(paths, absl::Seconds(10))[0], IsOk());
  test::Shell(absl::StrCat("kill -9 $(cat /proc/", ::getpid(), "/task/*/children)"));
  EXPECT_TRUE(test::WaitFor([&] { return stats->Remote(paths, absl::Seconds(10))[0].ok(); }));
  EXPECT_EQ(Helpers(), 1);
}

TEST_F(DiskTest, ABrokenHelperIsAnErrorAndNotAHang) {
  const std::vector<std::string> paths = {"/"};
  for (const char* program : {"", "/nonexistent/fleet-agent", "/bin/false"}) {
    SCOPED_TRACE(program);
    const auto stats = MakeFilesystemStats(program);
    const auto results = stats->Remote(paths, absl::Milliseconds(300));
    ASSERT_FALSE(results[0].ok());
    EXPECT_THAT(results[0], Not(HasCode(absl::StatusCode::kDeadlineExceeded)));
  }
}

TEST_F(DiskTest, JudgesThisMachine) {
  const auto check = MakeDiskCheck(runner_.env());
  const CheckResult result = Run(*check);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_FALSE(result.report.items.empty());
  EXPECT_THAT(result.lines(), Contains(HasSubstr("node_filesystem_size_bytes{")));
}

class HungMountTest : public DiskTest {
 protected:
  /// The check on the mounts that this very process sees: in a container the first process may see
  /// others.
  std::unique_ptr<Check> MakeCheck() {
    host_.Write("proc/1/mountinfo", test::ReadFile("/proc/self/mountinfo"));
    CheckEnv env = runner_.env();
    env.fs = host_.fs();
    return MakeDiskCheckWith(env, MakeFilesystemStats(kHelper));
  }

  void SetUp() override {
    if (!test::IsRoot()) GTEST_SKIP() << "mounting FUSE filesystems needs root";
    if (::access("/dev/fuse", R_OK | W_OK) != 0) GTEST_SKIP() << "there is no /dev/fuse";
  }

  test::TempHost host_;
};

TEST_F(HungMountTest, IsStuckAloneAndDelaysNobody) {
  const std::string far = dir_ / "far";
  const std::string fine = dir_ / "fine";
  FuseMount hung(far, "stuck");
  const FuseMount answering(fine, "fine");
  if (!hung.mounted() || !answering.mounted()) GTEST_SKIP() << "FUSE cannot be mounted here";

  const auto check = MakeCheck();
  CheckResult result = Run(*check);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_LT(took_, absl::Seconds(3));
  EXPECT_THAT(
      result.items(),
      Contains(HasSubstr(absl::StrCat(far, " unknown:stuck statvfs did not answer within 1.0 s"))));
  EXPECT_THAT(result.items(), Contains(HasSubstr(absl::StrCat(fine, " ok 50.0 % used"))));
  int stuck = 0;
  for (const Item& item : result.report.items) stuck += item.unknown == UnknownKind::kStuck;
  EXPECT_EQ(stuck, 1);
  EXPECT_THAT(result.lines(), Contains(AllOf(HasSubstr("node_filesystem_device_error"),
                                             HasSubstr(far), HasSubstr("} 1"))));

  // It is left alone for a while: the next runs do not wait for it.
  for (int i = 0; i < 3; ++i) {
    result = Run(*check);
    EXPECT_LT(took_, absl::Milliseconds(700));
    EXPECT_THAT(result.items(), Contains(HasSubstr(absl::StrCat(far, " unknown:stuck"))));
    EXPECT_THAT(result.items(), Contains(HasSubstr(absl::StrCat(fine, " ok 50.0 % used"))));
  }

  // No process is left behind once the kernel lets it go.
  hung.KillServer();
  EXPECT_TRUE(test::WaitFor([&] {
    Run(*check);
    return Helpers() == 1;
  }));
}

TEST_F(HungMountTest, ADeadServerIsCrit) {
  const std::string far = dir_ / "far";
  FuseMount mount(far, "fine");
  if (!mount.mounted()) GTEST_SKIP() << "FUSE cannot be mounted here";
  const auto check = MakeCheck();
  EXPECT_THAT(Run(*check).items(), Contains(HasSubstr(absl::StrCat(far, " ok"))));
  mount.KillServer();
  EXPECT_THAT(Run(*check).items(), Contains(HasSubstr(absl::StrCat(far, " crit does not answer"))));
}

}  // namespace
}  // namespace fleet::agent
