#include "agent/parse/mdstat.h"

#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// The only array of a file around `body`.
MdstatArray Only(absl::string_view body) {
  const auto mdstat = ParseMdstat(
      absl::StrCat("Personalities : [raid1] [raid6] \n", body, "\nunused devices: <none>\n"));
  EXPECT_THAT(mdstat, IsOk());
  if (!mdstat.ok()) return {};
  EXPECT_EQ(mdstat->arrays.size(), 1u);
  return mdstat->arrays.empty() ? MdstatArray() : mdstat->arrays[0];
}

TEST(ParseMdstatTest, ReadsAnIdleModule) {
  const auto mdstat = ParseMdstat("Personalities : \nunused devices: <none>\n");
  ASSERT_THAT(mdstat, IsOk());
  EXPECT_THAT(mdstat->personalities, IsEmpty());
  EXPECT_THAT(mdstat->arrays, IsEmpty());
}

TEST(ParseMdstatTest, ReadsARecoveryWithBitmap) {
  EXPECT_EQ(Only("md0 : active raid1 vdb[2](W)(F) vda[0] vdc[3](R) vdd[4](J)\n"
                 "      97280 blocks super 1.2 [2/1] [U_]\n"
                 "      [>....................]  recovery =  2.0% (2048/97280) finish=0.7min "
                 "speed=2048K/sec\n"
                 "      bitmap: 1/1 pages [4KB], 65536KB chunk\n"),
            (MdstatArray{
                .name = "md0",
                .state = "active",
                .level = "raid1",
                .members = {{.name = "vdb", .number = 2, .write_mostly = true, .faulty = true},
                            {.name = "vda", .number = 0},
                            {.name = "vdc", .number = 3, .replacement = true},
                            {.name = "vdd", .number = 4, .journal = true}},
                .blocks = 97280,
                .metadata = "1.2",
                .disks_required = 2,
                .disks_active = 1,
                .slots = "U_",
                .sync = MdstatSync{.action = "recovery",
                                   .done_blocks = 2048,
                                   .total_blocks = 97280,
                                   .finish_minutes = 0.7,
                                   .speed_kib_per_second = 2048},
                .pending = "",
                .bitmap = "1/1 pages [4KB], 65536KB chunk",
            }));
}

TEST(ParseMdstatTest, ReadsEveryShapeOfTheGrammar) {
  const MdstatArray raid5 = Only(
      "md2 : active raid5 sdg[2] sdf[1] sde[0]\n"
      "      94208 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/3] [UUU]\n"
      "      [====>]  reshape =100.0% (100/100) finish=0.0min speed=1K/sec\n");
  EXPECT_EQ(raid5.slots, "UUU");
  EXPECT_EQ(raid5.sync->action, "reshape");
  EXPECT_EQ(raid5.sync->done_blocks, 100);

  const MdstatArray raid0 = Only(
      "md0 : broken raid0 sdb[1] sda[0]\n      94208 blocks super 1.2 "
      "512k chunks\n      \n");
  EXPECT_EQ(raid0.state, "broken");
  EXPECT_FALSE(raid0.disks_required.has_value());

  const MdstatArray raid10 =
      Only("md1 : active raid10 dm-0[0] md3[1]\n      97792 blocks 2 near-copies [2/2] [UU]\n");
  EXPECT_EQ(raid10.metadata, "");
  EXPECT_EQ(raid10.disks_required, 2);
  EXPECT_EQ(raid10.members[0].name, "dm-0");

  const MdstatArray pending = Only(
      "md5 : active (auto-read-only) raid1 sda4[0] sdb4[1]\n      500 blocks super 1.2 [2/2] "
      "[UU]\n      \tresync=PENDING\n");
  EXPECT_TRUE(pending.auto_read_only);
  EXPECT_EQ(pending.pending, "resync=PENDING");
  EXPECT_EQ(pending.level, "raid1");

  const MdstatArray container = Only(
      "md127 : inactive vdb[1](S) vda[0](S)\n      65536 blocks super external:ddf\n       \n");
  EXPECT_EQ(container.state, "inactive");
  EXPECT_EQ(container.level, "");
  EXPECT_EQ(container.metadata, "external:ddf");
  EXPECT_TRUE(container.members[0].spare);

  EXPECT_TRUE(Only("md0 : active (read-only) raid1 vdc[2]\n      1 blocks\n").read_only);
}

TEST(ParseMdstatTest, SkipsWhatANewerKernelAdds) {
  const MdstatArray array = Only(
      "md0 : active (frosted) raid1 vda[0](X)\n      100 blocks super 1.2 [1/1] [U] [new]\n"
      "      weather: fine\n");
  EXPECT_EQ(array.level, "raid1");
  EXPECT_EQ(array.disks_required, 1);
  EXPECT_EQ(array.members[0], (MdstatMember{.name = "vda", .number = 0}));
}

TEST(ParseMdstatTest, ReadsSeveralArraysInOrder) {
  const auto mdstat =
      ParseMdstat(test::Fixture("md/run5-kernel6.12/004-k612-raid1-recovery.mdstat"));
  ASSERT_THAT(mdstat, IsOk());
  EXPECT_THAT(mdstat->personalities,
              ElementsAre("raid1", "raid0", "raid10", "raid6", "raid5", "raid4"));
  ASSERT_EQ(mdstat->arrays.size(), 3u);
  EXPECT_EQ(mdstat->arrays[0].name, "md2");
  EXPECT_EQ(mdstat->arrays[1].sync->total_blocks, 48128);
  EXPECT_EQ(mdstat->arrays[2].state, "broken");
}

TEST(ParseMdstatTest, RejectsMalformedText) {
  for (const char* text : {
           "",
           "\n",
           "hello\n",
           "md0\n",
           "md0 :\n",
           "md0 active raid1\n",
           "md0 : active raid1 vda[x]\n",
           "md0 : active raid1 vda[0\n",
           "md0 : active raid1 [0]\n",
           "md0 : active raid1 vda[-1]\n",
           "md0 : active raid1 vda[99999999999]\n",
           "md0 : active raid1 vda[0]\n  x blocks\n",
           "md0 : active raid1 vda[0]\n  -1 blocks\n",
           "md0 : active raid1 vda[0]\n  1 blocks [2/] [U_]\n",
           "md0 : active raid1 vda[0]\n  1 blocks [-2/1]\n",
           "md0 : active raid1 vda[0]\n  1 blocks\n  [>..]\n",
           "md0 : active raid1 vda[0]\n  1 blocks\n  [>..]  resync = 1%\n",
           "md0 : active raid1 vda[0]\n  1 blocks\n  [>..]  resync = 1% (1/x)\n",
           "md0 : active raid1 vda[0]\n  1 blocks\n  [>..]  resync = 1% (1/2) finish=xmin\n",
           "md0 : active raid1 vda[0]\n  1 blocks\n  [>..]  resync = 1% (1/2) finish=infmin\n",
           "md0 : active raid1 vda[0]\n  1 blocks\n  [>..]  resync = 1% (1/2) speed=-1K/sec\n",
       }) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseMdstat(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseMdstatTest, BoundsArrays) {
  std::string text;
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&text, "md", i, " : active raid1 sda[0]\n");
  EXPECT_THAT(ParseMdstat(text), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace fleet::agent
