#include "agent/parse/md_sysfs.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::Eq;

constexpr absl::StatusCode kBad = absl::StatusCode::kInvalidArgument;

TEST(MdSysfsTest, ReadsSyncCompleted) {
  EXPECT_THAT(ParseMdSyncCompleted("none\n"), IsOkAnd(Eq(MdSyncCompleted{})));
  EXPECT_THAT(ParseMdSyncCompleted("delayed\n"), IsOkAnd(Eq(MdSyncCompleted{.delayed = true})));
  EXPECT_THAT(ParseMdSyncCompleted("12168 / 194560\n"),
              IsOkAnd(Eq(MdSyncCompleted{.done_sectors = 12168, .total_sectors = 194560})));
  for (const char* text : {"", "1", "1 /", "/ 2", "-1 / 2", "3 / 2", "1 / 2 3", "none none",
                           "1 / 99999999999999999999"}) {
    EXPECT_THAT(ParseMdSyncCompleted(text), HasCode(kBad)) << text;
  }
}

TEST(MdSysfsTest, ReadsRaidDisks) {
  EXPECT_THAT(ParseMdRaidDisks("3\n"), IsOkAnd(Eq(MdRaidDisks{.disks = 3, .before = {}})));
  EXPECT_THAT(ParseMdRaidDisks("4 (3)\n"), IsOkAnd(Eq(MdRaidDisks{.disks = 4, .before = 3})));
  EXPECT_THAT(ParseMdRaidDisks("\n"), IsOkAnd(Eq(MdRaidDisks{})));
  for (const char* text : {"x", "-1", "4 3", "4 (x)", "4 (3) 2", "99999999999"}) {
    EXPECT_THAT(ParseMdRaidDisks(text), HasCode(kBad)) << text;
  }
}

TEST(MdSysfsTest, ReadsMemberStatesAndSkipsUnknownWords) {
  EXPECT_EQ(ParseMdMemberState("faulty,blocked\n"),
            (MdMemberState{.faulty = true, .blocked = true}));
  EXPECT_EQ(ParseMdMemberState("in_sync,write_error,want_replacement,failfast"),
            (MdMemberState{.in_sync = true, .write_error = true, .want_replacement = true}));
  EXPECT_EQ(ParseMdMemberState("spare,replacement"),
            (MdMemberState{.spare = true, .replacement = true}));
  EXPECT_EQ(ParseMdMemberState("journal,write_mostly"),
            (MdMemberState{.journal = true, .write_mostly = true}));
  EXPECT_EQ(ParseMdMemberState(""), MdMemberState{});
}

TEST(MdSysfsTest, CountsBadBlocks) {
  EXPECT_THAT(ParseMdBadBlocks(""), IsOkAnd(Eq(0)));
  EXPECT_THAT(ParseMdBadBlocks("2048 8\n4096 16\n"), IsOkAnd(Eq(2)));
  for (const char* text : {"x", "1", "1 x", "-1 2", "1 2 3"}) {
    EXPECT_THAT(ParseMdBadBlocks(text), HasCode(kBad)) << text;
  }
}

TEST(MdSysfsTest, ReadsNumbersThatMayBeNone) {
  EXPECT_THAT(ParseMdNumber("none\n"), IsOkAnd(Eq(std::nullopt)));
  EXPECT_THAT(ParseMdNumber("max"), IsOkAnd(Eq(std::nullopt)));
  EXPECT_THAT(ParseMdNumber("1126\n"), IsOkAnd(Eq(1126)));
  EXPECT_THAT(ParseMdNumber("18446744073709551615"), HasCode(kBad));
  for (const char* text : {"", "-1", "x", "1 2"}) EXPECT_THAT(ParseMdNumber(text), HasCode(kBad));
}

}  // namespace
}  // namespace fleet::agent
