#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/md_fixture.h"

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
using ::testing::IsSupersetOf;

constexpr absl::string_view kClean = "run1-raid1/004-raid1-clean";
constexpr absl::string_view kRemoved = "run3-lifecycle/001-raid1-removed";

/// Makes the machine another state of the same array, as after a reboot.
void Become(absl::string_view state, TempHost& host) {
  host.Remove("sys/block/md0").Remove("proc/mdstat");
  test::UnpackMdState(state, host);
  host.Write("sys/block/md0/md/uuid", "69d69402-9f78-6886-2762-6be5a3f96b7d\n");
}

TEST(RaidCheckTest, EmitsWhatNodeExporterDoes) {
  TempHost host;
  test::UnpackMdState("run5-kernel6.12/005-k612-check", host);
  const CheckResult result = CheckRunner(host.fs()).Run(MakeRaidCheck);
  EXPECT_THAT(result.lines(), IsSupersetOf({
                                  R"(node_md_blocks{device="md1"} 48128)",
                                  R"(node_md_blocks_synced{device="md1"} 3200)",
                                  R"(node_md_disks{device="md1",state="active"} 2)",
                                  R"(node_md_disks{device="md1",state="failed"} 1)",
                                  R"(node_md_disks{device="md1",state="spare"} 0)",
                                  R"(node_md_disks_required{device="md1"} 2)",
                                  R"(node_md_state{device="md1",state="active"} 0)",
                                  R"(node_md_state{device="md1",state="check"} 1)",
                                  R"(node_md_disks{device="md0",state="active"} 2)",
                                  R"(node_md_disks_required{device="md0"} 2)",
                                  R"(node_md_state{device="md0",state="active"} 0)",
                                  R"(node_md_state{device="md0",state="inactive"} 0)",
                              }));
}

TEST(RaidCheckTest, EmitsItsOwnNumbers) {
  TempHost host;
  test::UnpackMdState("run5-kernel6.12/004-k612-raid1-recovery", host);
  const CheckResult result = CheckRunner(host.fs()).Run(MakeRaidCheck);
  EXPECT_EQ(result.value(R"(fleet_raid_degraded_disks{device="md1"})"), 1);
  EXPECT_NEAR(result.value(R"(fleet_raid_sync_progress_ratio{action="recover",device="md1"})"),
              0.215, 1e-3);
  EXPECT_NEAR(result.value(R"(fleet_raid_sync_remaining_seconds{action="recover",device="md1"})"),
              32, 0.5);
  EXPECT_THAT(
      result.lines(),
      IsSupersetOf({
          R"(fleet_raid_member_info{device="md1",member="sdd",role="failed",serial="",slot=""} 1)",
          R"(fleet_raid_member_info{device="md1",member="vda",role="rebuilding",)"
          R"(serial="",slot="1"} 1)",
          R"(fleet_raid_spare_disks{device="md1"} 0)",
          R"(fleet_raid_mismatch_sectors{device="md1"} 0)",
      }));
}

TEST(RaidCheckTest, IsAbsentWithoutMd) {
  const TempHost host;
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeRaidCheck).status,
              HasCode(absl::StatusCode::kNotFound));
}

TEST(RaidCheckTest, NamesTheMissingMemberAfterARestart) {
  TempHost host;
  host.Write("sys/block/vdb/device/serial", "WD-1234\n");
  CheckRunner runner(host.fs());
  Become(kClean, host);
  EXPECT_THAT(runner.Run(MakeRaidCheck).items(), ElementsAre("md0 ok raid1 2/2"));
  Become(kRemoved, host);
  EXPECT_THAT(runner.Run(MakeRaidCheck).items(),
              ElementsAre("md0 crit degraded, not rebuilding: slot 1 missing, was vdb (serial "
                          "WD-1234)"));
  // Still known as long as it is missing; without memory only the slot is.
  EXPECT_THAT(runner.Run(MakeRaidCheck).report.items[0].reason, HasSubstr("WD-1234"));
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeRaidCheck).items(),
              ElementsAre("md0 crit degraded, not rebuilding: slot 1 missing"));
}

TEST(RaidCheckTest, FindsSerialsWhereTheKernelAndUdevKeepThem) {
  TempHost host;
  Become(kClean, host);
  host.Write("sys/block/vda/dev", "8:0\n")
      .Write("run/udev/data/b8:0", "E:ID_SERIAL_SHORT=UDEV-1\n");
  host.Write("sys/block/vdb/device/vpd_pg80", std::string("\0\x80\0\x08SCSI-2  ", 12));
  const auto lines = CheckRunner(host.fs()).Run(MakeRaidCheck).lines();
  EXPECT_THAT(lines, Contains(HasSubstr(R"(member="vda",role="active",serial="UDEV-1")")));
  EXPECT_THAT(lines, Contains(HasSubstr(R"(member="vdb",role="active",serial="SCSI-2")")));
  // A partition has its disk's serial, found through the member's own link.
  host.Write("sys/devices/sdq/device/serial", "DISK-3\n").Write("sys/devices/sdq/sdq1/x", "");
  host.Link("sys/block/md0/md/dev-vdb/block", "../../../../devices/sdq/sdq1");
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeRaidCheck).lines(),
              Contains(HasSubstr(R"(member="vdb",role="active",serial="DISK-3")")));
}

TEST(RaidCheckTest, SeesADiskVanishBeforeMdDoes) {
  TempHost host;
  Become(kClean, host);
  host.Link("sys/block/md0/md/dev-vdb/block", "../../../../devices/gone");
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeRaidCheck).items(),
              ElementsAre("md0 warn vdb has vanished, md has not noticed yet"));
}

TEST(RaidCheckTest, AnArrayThatIsGoneIsCritUntilForgotten) {
  TempHost host;
  CheckRunner runner(host.fs());
  Become(kClean, host);
  runner.Run(MakeRaidCheck);
  host.Remove("sys/block/md0");
  test::UnpackMdState("run1-raid1/026-stopped", host);
  EXPECT_THAT(runner.Run(MakeRaidCheck).items(),
              ElementsAre("md0 crit array is gone, was raid1 of vda, vdb"));
}

TEST(RaidCheckTest, AnArrayMadeAnewReplacesTheOldOne) {
  TempHost host;
  CheckRunner runner(host.fs());
  Become(kClean, host);
  runner.Run(MakeRaidCheck);
  host.Write("sys/block/md0/md/uuid", "11111111-9f78-6886-2762-6be5a3f96b7d\n");
  EXPECT_THAT(runner.Run(MakeRaidCheck).items(), ElementsAre("md0 ok raid1 2/2"));
  EXPECT_EQ(runner.memory().entries().size(), 1u);
}

TEST(RaidCheckTest, JudgesByMdstatWhenSysfsIsGone) {
  TempHost host;
  host.Write("proc/mdstat", test::Fixture("md/run5-kernel6.12/004-k612-raid1-recovery.mdstat"));
  const CheckResult result = CheckRunner(host.fs()).Run(MakeRaidCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.report.items.size(), 3u);
  EXPECT_EQ(result.verdict(), Verdict::kCrit);
  EXPECT_THAT(result.items(), Contains("md1 warn rebuilding: 6.6 %, 42 s left; failed: sdd"));
}

TEST(RaidCheckTest, KeepsWhatItReadBeforeAnError) {
  TempHost host;
  test::UnpackMdState("run5-kernel6.12/001-k612-arrays", host);
  host.Write("sys/block/md1/md/raid_disks", "many\n");
  CheckResult result = CheckRunner(host.fs()).Run(MakeRaidCheck);
  EXPECT_THAT(result.items(),
              ElementsAre("md0 ok raid0 2/2", HasSubstr("md1 unknown:error"), "md2 ok raid5 3/3"));
  host.Write("proc/mdstat", "garbage\n");
  result = CheckRunner(host.fs()).Run(MakeRaidCheck);
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(result.items(), Contains("md2 ok raid5 3/3"));
}

TEST(RaidCheckTest, WatchesWhatTheKernelAnnounces) {
  TempHost host;
  Become(kClean, host);
  CheckRunner runner(host.fs());
  const auto check = MakeRaidCheck(runner.env());
  runner.Run(*check);
  std::vector<std::string> paths;
  for (const Watch& watch : check->watches()) {
    EXPECT_EQ(watch.kind, Watch::Kind::kPollPriority);
    paths.push_back(watch.path);
  }
  EXPECT_THAT(paths, ElementsAre("proc/mdstat", "sys/block/md0/md/array_state",
                                 "sys/block/md0/md/degraded", "sys/block/md0/md/sync_action"));
}

}  // namespace
}  // namespace fleet::agent
