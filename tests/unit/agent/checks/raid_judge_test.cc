#include "agent/checks/raid_judge.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::testing::StartsWith;

constexpr MdMemberState kInSync = {.in_sync = true};
constexpr MdMemberState kFaulty = {.faulty = true};
constexpr MdMemberState kSpare = {.spare = true};

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

/// A whole raid1 of sda and sdb.
RaidArray Mirror() {
  RaidArray array;
  array.name = "md0";
  array.level = "raid1";
  array.state = "clean";
  array.metadata = "1.2";
  array.policy = "resync";
  array.disks = 2;
  array.degraded = 0;
  array.sync_action = "idle";
  array.last_sync_action = "none";
  array.mismatch_sectors = 0;
  array.members = {{.name = "sda", .serial = "", .state = kInSync, .slot = 0},
                   {.name = "sdb", .serial = "", .state = kInSync, .slot = 1}};
  return array;
}

RaidArray Raid(absl::string_view level, int disks, int degraded) {
  RaidArray array = Mirror();
  array.level = std::string(level);
  array.disks = disks;
  array.degraded = degraded;
  array.members.clear();
  for (int slot = degraded; slot < disks; ++slot) {
    array.members.push_back(
        {.name = absl::StrCat("sd", slot), .serial = "", .state = kInSync, .slot = slot});
  }
  return array;
}

/// `array` with its slot 1 being filled.
RaidArray Rebuilding(RaidArray array) {
  array.degraded = 1;
  array.sync_action = "recover";
  array.sync = {.done_sectors = 50, .total_sectors = 200};
  array.sync_speed_kib = 1;
  array.members[1].state = kSpare;
  return array;
}

std::string Judged(const RaidArray& array, const RaidHistory& history = {}) {
  const RaidJudgement judgement = JudgeRaid(array, history, kNow, RaidOptions());
  return absl::StrCat(VerdictName(judgement.verdict), " ", judgement.reason);
}

TEST(JudgeRaidTest, ContainersAreInOrder) {
  RaidArray array;
  array.state = "inactive";
  array.metadata = "external:ddf";
  array.members = {{.name = "sda", .serial = "", .state = kSpare, .slot = {}}};
  EXPECT_EQ(Judged(array), "ok container external:ddf");
  array.metadata = "external:/md127/0";  // its volume, which must be assembled
  EXPECT_THAT(Judged(array), StartsWith("crit not assembled"));
}

TEST(JudgeRaidTest, InactiveArraysNameWhoIsMissing) {
  RaidArray array;
  array.state = "inactive";
  array.metadata = "1.2";
  array.members = {{.name = "sdc", .serial = "A", .state = kSpare, .slot = {}}};
  EXPECT_EQ(Judged(array), "crit not assembled: sdc present");
  RaidHistory history;
  history.slots = {{0, {"sda", "A"}}, {1, {"sdb", "B"}}};
  EXPECT_EQ(Judged(array, history),
            "crit not assembled: sdc present; slot 1 missing, was sdb (serial B)");
}

TEST(JudgeRaidTest, BrokenIsCritWhateverElseHolds) {
  RaidArray array = Raid("raid0", 2, 0);
  array.degraded.reset();
  array.state = "broken";
  EXPECT_EQ(Judged(array), "crit broken: raid0 lost more disks than it survives");
  array = Mirror();
  array.state = "broken";
  EXPECT_THAT(Judged(array), StartsWith("crit broken: md keeps its last good disk sda, sdb"));
}

TEST(JudgeRaidTest, MoreLostThanTheLevelSurvivesIsCrit) {
  EXPECT_THAT(Judged(Raid("raid5", 4, 2)),
              StartsWith("crit failed: 2 of 4 disks lost, raid5 survives 1: slot 0 missing"));
  EXPECT_THAT(Judged(Raid("raid4", 4, 2)), StartsWith("crit failed"));
  EXPECT_THAT(Judged(Raid("raid6", 6, 3)), StartsWith("crit failed"));
  EXPECT_THAT(Judged(Raid("raid6", 6, 2)), StartsWith("crit degraded, not rebuilding"));
  RaidArray mirror = Mirror();
  mirror.degraded = 2;
  mirror.members[0].state = kFaulty;
  mirror.members[1].state = kFaulty;
  EXPECT_EQ(Judged(mirror), "crit failed: no disk in sync: slot 0 failed: sda; slot 1 failed: sdb");
}

TEST(JudgeRaidTest, ARebuildIsAWarning) {
  EXPECT_EQ(Judged(Rebuilding(Mirror())), "warn rebuilding slot 1 on sdb: 25.0 %, 75 s left");
  RaidHistory history;
  history.slots = {{1, {"sdx", "OLD"}}};
  EXPECT_EQ(Judged(Rebuilding(Mirror()), history),
            "warn rebuilding slot 1 on sdb, was sdx (serial OLD): 25.0 %, 75 s left");
}

TEST(JudgeRaidTest, ANewRaid5IsBuilt) {
  RaidArray array = Rebuilding(Raid("raid5", 3, 0));
  EXPECT_EQ(Judged(array), "warn building slot 1 on sd1: 25.0 %, 75 s left");
  array.members.push_back({.name = "sdf", .serial = "", .state = kFaulty, .slot = {}});
  EXPECT_EQ(Judged(array), "warn rebuilding slot 1 on sd1: 25.0 %, 75 s left; failed: sdf");
  array.members.pop_back();
  RaidHistory history;
  history.slots = {{1, {"sd1", ""}}};
  EXPECT_EQ(Judged(array, history), "warn rebuilding slot 1 on sd1: 25.0 %, 75 s left");
}

TEST(JudgeRaidTest, DegradedAndNotRebuildingNamesTheMissing) {
  RaidArray array = Mirror();
  array.degraded = 1;
  array.members.pop_back();
  EXPECT_EQ(Judged(array), "crit degraded, not rebuilding: slot 1 missing");
  RaidHistory history;
  history.slots = {{0, {"sda", "WD-1"}}, {1, {"sdb", "WD-1234"}}};
  EXPECT_EQ(Judged(array, history),
            "crit degraded, not rebuilding: slot 1 missing, was sdb (serial WD-1234)");
  array.level = "raid10";
  EXPECT_THAT(Judged(array, history), StartsWith("crit degraded, not rebuilding: slot 1"));
}

TEST(JudgeRaidTest, AFrozenOrWaitingRebuildIsNone) {
  RaidArray array = Rebuilding(Mirror());
  array.sync = {.delayed = true};
  EXPECT_EQ(Judged(array),
            "crit degraded, not rebuilding (waits for another array): slot 1 not rebuilt on sdb");
  array.sync = {};
  array.sync_action = "frozen";
  EXPECT_EQ(Judged(array), "crit degraded, not rebuilding (frozen): slot 1 not rebuilt on sdb");
  array.sync_action = "check";
  array.sync = {.done_sectors = 50, .total_sectors = 200};
  EXPECT_EQ(Judged(array),
            "crit degraded, not rebuilding (check 25.0 %, 75 s left): slot 1 not rebuilt on sdb");
}

TEST(JudgeRaidTest, AFailedDiskIsToBeRemoved) {
  RaidArray array = Mirror();
  array.members.push_back({.name = "sdc", .serial = "", .state = kFaulty, .slot = {}});
  EXPECT_EQ(Judged(array), "warn remove failed disk sdc");
}

TEST(JudgeRaidTest, AFailedOrMissingJournalIsCrit) {
  RaidArray array = Raid("raid5", 3, 0);
  array.policy = "journal";
  EXPECT_EQ(Judged(array), "crit write journal missing");
  array.members.push_back({.name = "sdj", .serial = "", .state = {.journal = true}, .slot = {}});
  EXPECT_EQ(Judged(array), "ok raid5 3/3");
  array.members.back().state.faulty = true;
  EXPECT_EQ(Judged(array), "crit write journal on sdj failed");
}

TEST(JudgeRaidTest, MembersThatGetWorseAreAWarning) {
  RaidArray array = Mirror();
  array.members[1].bad_block_ranges = 2;
  EXPECT_EQ(Judged(array), "warn sdb has 2 bad ranges without redundancy");
  array = Mirror();
  array.members[1].state.write_error = true;
  EXPECT_EQ(Judged(array), "warn write errors on sdb");
  array = Mirror();
  array.members[0].state.want_replacement = true;
  EXPECT_EQ(Judged(array), "warn sda wants to be replaced");
}

TEST(JudgeRaidTest, AVanishedDiskIsSeenBeforeMdDoes) {
  RaidArray array = Mirror();
  array.members[1].vanished = true;
  EXPECT_EQ(Judged(array), "warn sdb has vanished, md has not noticed yet");
  array.level = "raid0";
  array.degraded.reset();
  EXPECT_EQ(Judged(array), "crit sdb has vanished, md has not noticed yet");
}

TEST(JudgeRaidTest, MismatchesCountAfterACheckOnly) {
  RaidArray array = Mirror();
  array.mismatch_sectors = 128;
  for (const char* action : {"none", "resync", "repair", "recovery", "reshape"}) {
    array.last_sync_action = action;
    EXPECT_EQ(Judged(array), "ok raid1 2/2") << action;
  }
  array.last_sync_action = "check";
  EXPECT_EQ(Judged(array), "warn check found 128 sectors that differ");
}

TEST(JudgeRaidTest, AScheduledCheckIsNoWarning) {
  for (const char* action : {"check", "repair", "resync", "reshape"}) {
    RaidArray array = Mirror();
    array.sync_action = action;
    array.sync = {.done_sectors = 50, .total_sectors = 200};
    EXPECT_EQ(Judged(array), absl::StrCat("ok raid1 2/2, ", action, " 25.0 %"));
    array.sync_speed_kib = 1;
    EXPECT_EQ(Judged(array), absl::StrCat("ok raid1 2/2, ", action, " 25.0 %, 75 s left"));
    array.sync = {.delayed = true};
    EXPECT_EQ(Judged(array), absl::StrCat("ok raid1 2/2, ", action, " waits for another array"));
  }
}

TEST(JudgeRaidTest, ReadOnlyByHandWarnsReadAutoDoesNot) {
  RaidArray array = Mirror();
  array.state = "readonly";
  EXPECT_EQ(Judged(array), "warn read-only");
  array.state = "read-auto";
  EXPECT_EQ(Judged(array), "ok raid1 2/2, read-only until the first write");
}

TEST(JudgeRaidTest, APendingResyncWarnsAfterADay) {
  RaidArray array = Mirror();
  array.state = "read-auto";
  array.pending = true;
  RaidHistory history;
  history.pending_since = kNow - absl::Hours(23);
  EXPECT_EQ(Judged(array, history), "ok raid1 2/2, resync pending, starts with the first write");
  history.pending_since = kNow - absl::Hours(25);
  EXPECT_EQ(Judged(array, history), "warn resync pending for 25 h, starts with the first write");
}

TEST(JudgeRaidTest, NotesThatNobodyChecks) {
  RaidHistory history;
  history.first_seen = kNow - absl::Hours(24 * 90);
  EXPECT_EQ(Judged(Mirror(), history), "ok raid1 2/2, no check for 90 d");
  history.last_check = kNow - absl::Hours(24 * 39);
  EXPECT_EQ(Judged(Mirror(), history), "ok raid1 2/2");
}

TEST(JudgeRaidTest, AGoneArrayIsNamedWithItsDisks) {
  RaidHistory history;
  history.level = "raid1";
  history.slots = {{0, {"sda", "A"}}, {1, {"sdb", ""}}};
  EXPECT_EQ(JudgeGoneRaid(history).reason, "array is gone, was raid1 of sda (serial A), sdb");
  EXPECT_EQ(JudgeGoneRaid(history).verdict, Verdict::kCrit);
}

TEST(RaidHistoryTest, RemembersWhoWasInSync) {
  RaidArray array = Rebuilding(Mirror());
  RaidHistory history = Remember(array, {}, kNow);
  EXPECT_EQ(history.slots, (std::map<int, RaidHistory::Slot>{{0, {"sda", ""}}}));
  history = Remember(Mirror(), history, kNow);
  EXPECT_EQ(history.slots.size(), 2u);
  array.disks = 1;  // shrunk
  EXPECT_EQ(Remember(array, history, kNow).slots.size(), 1u);
}

TEST(RaidHistoryTest, ReadsBackWhatItWrote) {
  RaidHistory history;
  history.name = "md0";
  history.level = "raid1";
  history.first_seen = kNow;
  history.last_check = kNow + absl::Hours(1);
  history.slots = {{0, {"sda", "WD-1"}}, {7, {"nvme0n1p2", ""}}};
  EXPECT_EQ(ParseRaidHistory(FormatRaidHistory(history)), history);
  for (const char* text : {"", "x", "a|b|c", "md0|raid1|x|y|z|w|sda|s", "md0|raid1|-|-|-|-1|a|b"}) {
    EXPECT_TRUE(ParseRaidHistory(text).slots.empty()) << text;
  }
}

}  // namespace
}  // namespace fleet::agent
