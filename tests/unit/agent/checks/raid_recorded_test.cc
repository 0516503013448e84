// Every recorded state of a real md array, and what a tired person is to be told about it. The
// right column is derived from the rules, line by line, not from the program.
#include <filesystem>
#include <set>

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
using ::testing::ElementsAreArray;

struct Recorded {
  const char* state;
  std::vector<std::string> items;  // none: no md array on this host
};

const Recorded kRecorded[] = {
    {"run1-raid1/001-md-mod-loaded-no-arrays", {}},
    {"run1-raid1/002-personalities", {}},
    {"run1-raid1/003-raid1-initial-resync", {"md0 ok raid1 2/2, resync 0.0 %, 86 s left"}},
    {"run1-raid1/004-raid1-clean", {"md0 ok raid1 2/2"}},
    {"run1-raid1/005-raid1-active-just-written", {"md0 ok raid1 2/2"}},
    {"run1-raid1/006-raid1-failed-member",
     {"md0 crit degraded, not rebuilding: slot 1 missing; failed: vdb"}},
    {"run1-raid1/013-raid1-readd-bitmap-recovery",
     {"md0 warn rebuilding slot 1 on vdb: 0.0 %, 2 min left"}},
    {"run1-raid1/014-raid1-readd-done", {"md0 ok raid1 2/2"}},
    {"run1-raid1/015-raid1-spare", {"md0 ok raid1 2/2, 1 spare"}},
    {"run1-raid1/016-raid1-replace-R", {"md0 warn replacing vda by vdc: 6.3 %, 76 s left"}},
    {"run1-raid1/017-raid1-replace-done", {"md0 warn remove failed disk vda"}},
    {"run1-raid1/018-raid1-writemostly-W", {"md0 warn remove failed disk vda"}},
    {"run1-raid1/019-raid1-check", {"md0 warn remove failed disk vda; check 29.2 %, 22 s left"}},
    {"run1-raid1/020-raid1-after-check-mismatch", {"md0 warn remove failed disk vda"}},
    {"run1-raid1/021-raid1-repair", {"md0 warn remove failed disk vda; repair 12.6 %, 26 s left"}},
    {"run1-raid1/022-raid1-after-repair", {"md0 warn remove failed disk vda"}},
    {"run1-raid1/023-raid1-recheck", {"md0 warn remove failed disk vda"}},
    {"run1-raid1/024-raid1-readonly", {"md0 warn remove failed disk vda; read-only"}},
    {"run1-raid1/025-raid1-fail-last",
     {"md0 crit broken: md keeps its last good disk vdc though that fails too, copy off what can "
      "be read: slot 1 missing; failed: vda, vdb"}},
    {"run1-raid1/026-stopped", {}},
    {"run1-raid1/027-incremental-inactive", {"md0 crit degraded, not rebuilding: slot 1 missing"}},
    {"run3-lifecycle/001-raid1-removed", {"md0 crit degraded, not rebuilding: slot 1 missing"}},
    {"run3-lifecycle/002-raid1-full-recovery",
     {"md0 warn rebuilding slot 1 on vdb: 0.0 %, 65 s left"}},
    {"run3-lifecycle/003-raid1-recovery-frozen",
     {"md0 crit degraded, not rebuilding (frozen): slot 1 not rebuilt on vdb"}},
    {"run3-lifecycle/004-raid1-full-recovered", {"md0 ok raid1 2/2"}},
    {"run5-kernel6.12/001-k612-arrays",
     {"md0 ok raid0 2/2", "md1 ok raid1 2/2", "md2 ok raid5 3/3"}},
    {"run5-kernel6.12/002-k612-unplugged-written",
     {"md0 crit broken: raid0 lost more disks than it survives",
      "md1 crit degraded, not rebuilding: slot 1 missing; failed: sdd",
      "md2 crit degraded, not rebuilding: slot 0 missing; failed: sde"}},
    {"run5-kernel6.12/003-k612-raid5-failed",
     {"md0 crit broken: raid0 lost more disks than it survives",
      "md1 crit degraded, not rebuilding: slot 1 missing; failed: sdd",
      "md2 crit broken: raid5 lost more disks than it survives: slot 0 missing; slot 1 failed: "
      "sdf; failed: sde"}},
    {"run5-kernel6.12/004-k612-raid1-recovery",
     {"md0 crit broken: raid0 lost more disks than it survives",
      "md1 warn rebuilding slot 1 on vda: 21.5 %, 32 s left; failed: sdd",
      "md2 crit broken: raid5 lost more disks than it survives: slot 0 missing; slot 1 failed: "
      "sdf; failed: sde"}},
    {"run5-kernel6.12/005-k612-check",
     {"md0 crit broken: raid0 lost more disks than it survives",
      "md1 warn remove failed disk sdd; check 36.8 %, 15 s left",
      "md2 crit broken: raid5 lost more disks than it survives: slot 0 missing; slot 1 failed: "
      "sdf; failed: sde"}},
    {"run5-kernel6.12/006-k612-raid1-fail-last",
     {"md0 crit broken: raid0 lost more disks than it survives",
      "md1 crit broken: md keeps its last good disk vda though that fails too, copy off what can "
      "be read: slot 0 missing; failed: sdc, sdd",
      "md2 crit broken: raid5 lost more disks than it survives: slot 0 missing; slot 1 failed: "
      "sdf; failed: sde"}},
};

TEST(RecordedRaidTest, JudgesEveryRecordedState) {
  for (const Recorded& recorded : kRecorded) {
    SCOPED_TRACE(recorded.state);
    TempHost host;
    test::UnpackMdState(recorded.state, host);
    const CheckResult result = CheckRunner(host.fs()).Run(MakeRaidCheck);
    if (recorded.items.empty()) {
      EXPECT_THAT(result.status, HasCode(absl::StatusCode::kNotFound));
    } else {
      EXPECT_THAT(result.status, IsOk());
    }
    EXPECT_THAT(result.items(), ElementsAreArray(recorded.items));
  }
}

TEST(RecordedRaidTest, LeavesNoRecordingOut) {
  std::set<std::string> listed;
  for (const Recorded& recorded : kRecorded) listed.insert(recorded.state);
  const std::filesystem::path root(FLEET_SOURCE_DIR "/tests/fixtures/md");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() != ".mdstat") continue;
    const std::string state =
        std::filesystem::relative(entry.path(), root).replace_extension().string();
    EXPECT_TRUE(listed.contains(state)) << state;
  }
}

}  // namespace
}  // namespace fleet::agent
