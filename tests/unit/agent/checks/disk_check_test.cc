#include "agent/checks/disk_check.h"

#include <map>

#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempHost;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr FilesystemUsage kHalf = {
    .size_bytes = 100e9, .free_bytes = 50e9, .available_bytes = 50e9, .files = 10, .files_free = 9};

/// Answers what the test says, and notes who was asked how.
class FakeStats final : public FilesystemStats {
 public:
  absl::StatusOr<FilesystemUsage> Local(const std::string& path) override {
    local.push_back(path);
    return Answer(path);
  }
  std::vector<absl::StatusOr<FilesystemUsage>> Remote(absl::Span<const std::string> paths,
                                                      absl::Duration) override {
    std::vector<absl::StatusOr<FilesystemUsage>> results;
    for (const std::string& path : paths) {
      remote.push_back(path);
      results.push_back(Answer(path));
    }
    return results;
  }

  std::map<std::string, absl::StatusOr<FilesystemUsage>> answers;
  std::vector<std::string> local;
  std::vector<std::string> remote;

 private:
  absl::StatusOr<FilesystemUsage> Answer(const std::string& path) {
    const auto found = answers.find(path);
    return found == answers.end() ? kHalf : found->second;
  }
};

/// A host whose only filesystem is an ext4 on /dev/sda1.
class DiskCheckTest : public ::testing::Test {
 protected:
  DiskCheckTest() { Mounted("rw,relatime", "rw"); }

  void Mounted(absl::string_view options, absl::string_view super_options,
               absl::string_view more = "") {
    host_.Write("proc/1/mountinfo", absl::StrCat("1 0 8:1 / / ", options, " - ext4 /dev/sda1 ",
                                                 super_options, "\n", more));
  }
  CheckResult Run() {
    if (check_ == nullptr) {
      auto stats = std::make_unique<FakeStats>();
      stats_ = stats.get();
      stats_->answers = answers_;
      check_ = MakeDiskCheckWith(runner_.env(), std::move(stats));
    }
    stats_->local.clear();
    stats_->remote.clear();
    return runner_.Run(*check_);
  }
  void Restart() { check_.reset(); }

  TempHost host_;
  CheckRunner runner_{host_.fs()};
  std::map<std::string, absl::StatusOr<FilesystemUsage>> answers_;
  FakeStats* stats_ = nullptr;
  std::unique_ptr<Check> check_;
};

TEST_F(DiskCheckTest, EmitsWhatNodeExporterDoes) {
  host_.Write(
      "proc/diskstats",
      "   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n   8       1 sda1 1 2 3 4 5 6 7 8 9 10 11\n");
  host_.Write("run/udev/data/b8:0",
              "E:ID_SERIAL_SHORT=WD-1\nE:ID_ATA=1\nE:ID_ATA_WRITE_CACHE=1\n"
              "E:ID_MODEL=WDC\n");
  EXPECT_THAT(
      Run().lines(),
      ElementsAre(
          R"(node_disk_reads_completed_total{device="sda"} 1)",
          R"(node_disk_reads_merged_total{device="sda"} 2)",
          R"(node_disk_read_bytes_total{device="sda"} 1536)",
          R"(node_disk_read_time_seconds_total{device="sda"} 0.004)",
          R"(node_disk_writes_completed_total{device="sda"} 5)",
          R"(node_disk_writes_merged_total{device="sda"} 6)",
          R"(node_disk_written_bytes_total{device="sda"} 3584)",
          R"(node_disk_write_time_seconds_total{device="sda"} 0.008)",
          R"(node_disk_io_now{device="sda"} 9)",
          R"(node_disk_io_time_seconds_total{device="sda"} 0.01)",
          R"(node_disk_io_time_weighted_seconds_total{device="sda"} 0.011)",
          R"(node_disk_info{device="sda",major="8",minor="0",model="WDC",)"
          R"(path="",revision="",serial="WD-1",wwn=""} 1)",
          R"(node_disk_ata_write_cache{device="sda"} 1)",
          R"(node_filesystem_device_error{device="/dev/sda1",fstype="ext4",mountpoint="/"} 0)",
          R"(node_filesystem_size_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 1e+11)",
          R"(node_filesystem_free_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 5e+10)",
          R"(node_filesystem_avail_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 5e+10)",
          R"(node_filesystem_files{device="/dev/sda1",fstype="ext4",mountpoint="/"} 10)",
          R"(node_filesystem_files_free{device="/dev/sda1",fstype="ext4",mountpoint="/"} 9)",
          R"(node_filesystem_readonly{device="/dev/sda1",fstype="ext4",mountpoint="/"} 0)"));
}

TEST_F(DiskCheckTest, JudgesSpace) {
  answers_["/"] = FilesystemUsage{.size_bytes = 100e9, .free_bytes = 9e9, .available_bytes = 9e9};
  EXPECT_THAT(Run().items(), ElementsAre("/ warn 91.0 % used"));
}

TEST_F(DiskCheckTest, AHungMountIsStuckAlone) {
  Mounted("rw", "rw",
          "2 1 0:50 / /media/far rw - fuse.sshfs me@far rw\n3 1 0:51 / /srv rw - nfs4 nas:/ rw\n"
          "4 1 0:52 / /net rw - autofs auto rw\n");
  answers_.emplace("/media/far", absl::DeadlineExceededError("statvfs did not answer within 1 s"));
  const CheckResult result = Run();
  EXPECT_THAT(result.items(),
              ElementsAre("/ ok 50.0 % used, 46.6 GiB free",
                          "/media/far unknown:stuck statvfs did not answer within 1 s",
                          "/srv ok 50.0 % used, 46.6 GiB free"));
  EXPECT_THAT(stats_->local, ElementsAre("/"));
  EXPECT_THAT(stats_->remote, UnorderedElementsAre("/media/far", "/srv"));
}

TEST_F(DiskCheckTest, ADeadServerIsCritAndAForeignMountIsBlind) {
  Mounted("rw", "rw",
          "2 1 0:50 / /a rw - fuse.x x rw\n3 1 0:51 / /b rw - fuse.y y rw\n"
          "4 1 0:52 / /c rw - fuse.z z rw\n");
  answers_.emplace("/a", absl::ErrnoToStatus(ENOTCONN, "statvfs"));
  answers_.emplace("/b", absl::ErrnoToStatus(EACCES, "statvfs"));
  answers_.emplace("/c", absl::ErrnoToStatus(ENOENT, "statvfs"));
  const CheckResult result = Run();
  EXPECT_THAT(result.items(), ElementsAre(HasSubstr("/ ok"), HasSubstr("/a crit does not answer: "),
                                          HasSubstr("/b unknown:blind ")));
  EXPECT_THAT(
      result.lines(),
      Contains(R"(node_filesystem_device_error{device="x",fstype="fuse.x",mountpoint="/a"} 1)"));
  EXPECT_THAT(result.lines(), Not(Contains(HasSubstr(R"(avail_bytes{device="x")"))));
}

TEST_F(DiskCheckTest, IgnoredMountsHaveNoVerdict) {
  runner_.options().disk.ignore = {"/"};
  const CheckResult result = Run();
  EXPECT_THAT(result.items(), IsEmpty());
  EXPECT_THAT(result.lines(), Contains(HasSubstr("node_filesystem_size_bytes")));
}

TEST_F(DiskCheckTest, ReadOnlyIsCritAfterARestartToo) {
  EXPECT_THAT(Run().items(), ElementsAre(HasSubstr("/ ok")));
  Restart();
  Mounted("rw", "ro");
  EXPECT_THAT(Run().items(), ElementsAre(HasSubstr("/ crit read-only, was writable")));
  host_.Write("etc/fstab", "/dev/sda1 / ext4 ro 0 1\n");  // the admin meant it
  EXPECT_THAT(Run().items(), ElementsAre("/ ok read-only"));
}

TEST_F(DiskCheckTest, ReadOnlyFromTheBeginningIsFineUnlessFstabSaysOtherwise) {
  Mounted("ro", "ro");
  EXPECT_THAT(Run().items(), ElementsAre("/ ok read-only"));
  host_.Write("etc/fstab", "UUID=1 / ext4 errors=remount-ro 0 1\n");
  EXPECT_THAT(Run().items(), ElementsAre(HasSubstr("/ crit read-only")));
}

TEST_F(DiskCheckTest, Ext4ErrorsAreCritWhenTheyGrow) {
  host_.Link("sys/dev/block/8:1", "../../devices/virtual/block/dm-0");
  host_.Write("sys/fs/ext4/dm-0/errors_count", "0\n")
      .Write("sys/fs/ext4/dm-0/last_error_time", "0\n");
  EXPECT_THAT(Run().items(), ElementsAre("/ ok 50.0 % used, 46.6 GiB free"));
  host_.Write("sys/fs/ext4/dm-0/errors_count", "4\n")
      .Write("sys/fs/ext4/dm-0/last_error_time",
             absl::StrCat(absl::ToUnixSeconds(runner_.clock().Now()), "\n"))
      .Write("sys/fs/ext4/dm-0/last_error_func", "ext4_lookup\n");
  const CheckResult result = Run();
  EXPECT_THAT(result.items(),
              ElementsAre(HasSubstr("/ crit 4 filesystem errors, last 0 s ago in ext4_lookup")));
  EXPECT_EQ(result.value(
                R"(fleet_disk_filesystem_errors{device="/dev/sda1",fstype="ext4",mountpoint="/"})"),
            4);
  runner_.clock().Advance(absl::Hours(25));
  EXPECT_THAT(Run().items(), ElementsAre(HasSubstr("/ warn 4 filesystem errors, last 25 h ago")));
}

TEST_F(DiskCheckTest, RemembersItsSlopeOverRestarts) {
  const auto run_hours = [this](int hours, double first, double per_hour) {
    for (int hour = 0; hour < hours; ++hour) {
      FilesystemUsage usage = kHalf;
      usage.free_bytes = usage.available_bytes = first - per_hour * hour;
      answers_.insert_or_assign("/", usage);
      Restart();  // every time
      Run();
      runner_.clock().Advance(absl::Hours(1));
    }
  };
  run_hours(49, 50e9, 0.25e9);
  const CheckResult result = Run();
  EXPECT_THAT(result.items(), ElementsAre(HasSubstr("full in 7 d")));
  EXPECT_NEAR(
      result.value(R"(fleet_disk_full_seconds{device="/dev/sda1",fstype="ext4",mountpoint="/"})"),
      6.6 * 86400, 0.2 * 86400);
}

TEST_F(DiskCheckTest, WritesMemorySeldom) {
  Run();
  const uint64_t revision = runner_.memory().revision();
  for (int i = 0; i < 20; ++i) {
    runner_.clock().Advance(absl::Seconds(10));
    Run();
  }
  EXPECT_EQ(runner_.memory().revision(), revision);
  runner_.clock().Advance(absl::Hours(1));
  Run();
  EXPECT_EQ(runner_.memory().revision(), revision + 1);
}

TEST_F(DiskCheckTest, AFixtureHostIsJudgedByItsFilesAlone) {
  host_.Write("sys/fs/ext4/sda1/errors_count", "2\n");
  const CheckResult result = runner_.Run(MakeDiskCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), ElementsAre("/ warn 2 filesystem errors, run e2fsck"));
  EXPECT_THAT(result.lines(), Not(Contains(HasSubstr("node_filesystem_size_bytes"))));
}

TEST_F(DiskCheckTest, ReadsItsOwnMountsWhereTheFirstProcessIsHidden) {
  host_.Remove("proc/1").Write("proc/self/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
  EXPECT_THAT(Run().items(), ElementsAre(HasSubstr("/ ok")));
  EXPECT_EQ(check_->watches()[0].path, "proc/self/mountinfo");
}

TEST_F(DiskCheckTest, KeepsWhatItReadBeforeAnError) {
  host_.Write("proc/diskstats", "garbage\n");
  const CheckResult result = Run();
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(result.items(), ElementsAre(HasSubstr("/ ok")));
  host_.Remove("proc/1");
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace fleet::agent
