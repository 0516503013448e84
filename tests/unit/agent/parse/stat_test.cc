#include "agent/parse/stat.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;

TEST(ParseStatTest, ReadsTheKernelsTable) {
  const auto stat = ParseStat(
      "cpu  19722 1396 8758 263575 1790 0 171 645 7 8\n"
      "cpu0 9175 832 3661 134018 106 0 11 273 3 4\n"
      "cpu2 10547 564 5097 129557 1683 0 159 371 4 4\n"
      "intr 304745 0 0 12\n"
      "ctxt 527178\n"
      "btime 1795458289\n"
      "processes 11755\n"
      "procs_running 12\n"
      "procs_blocked 1\n"
      "softirq 226954 0 27189\n");
  ASSERT_THAT(stat, IsOk());
  EXPECT_EQ(stat->all[CpuMode::kUser], 19722);
  EXPECT_THAT(stat->cpus,
              ElementsAre(CpuTicks{0, {9175, 832, 3661, 134018, 106, 0, 11, 273, 3, 4}},
                          CpuTicks{2, {10547, 564, 5097, 129557, 1683, 0, 159, 371, 4, 4}}));
  EXPECT_EQ(stat->interrupts, 304745);
  EXPECT_EQ(stat->context_switches, 527178);
  EXPECT_EQ(stat->boot, absl::FromUnixSeconds(1795458289));
  EXPECT_EQ(stat->forks, 11755);
  EXPECT_EQ(stat->procs_running, 12);
  EXPECT_EQ(stat->procs_blocked, 1);
}

TEST(ParseStatTest, ReadsOlderAndNewerKernels) {
  EXPECT_THAT(ParseStat("cpu 1 2 3 4\n"), IsOk());
  EXPECT_THAT(ParseStat("cpu 1 2 3 4 5 6 7 8 9 10 11 12\nnovelty x\n"), IsOk());
}

TEST(ParseStatTest, RejectsMalformedText) {
  for (const char* text :
       {"", "\n", "intr 5\n", "cpu\n", "cpu 1 2 3\n", "cpu 1 2 3 x\n", "cpu0 1 2 3 -4\n",
        "cpux 1 2 3 4\n", "cpu 1 2 3 99999999999999999999\n", "cpu 1 2 3 4\nctxt\n",
        "cpu 1 2 3 4\nbtime -1\n", "cpu 1 2 3 4\nprocesses 1.5\n", "cpu99999999999 1 2 3 4\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseStat(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseStatTest, HasABound) {
  std::string text;
  for (int i = 0; i < 8193; ++i) absl::StrAppend(&text, "cpu", i, " 1 2 3 4\n");
  EXPECT_THAT(ParseStat(text), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(CountCpuListTest, CountsRanges) {
  EXPECT_THAT(CountCpuList("0\n"), IsOkAnd(1));
  EXPECT_THAT(CountCpuList("0-7\n"), IsOkAnd(8));
  EXPECT_THAT(CountCpuList("0-3,8,10-11"), IsOkAnd(7));
}

TEST(CountCpuListTest, RejectsMalformedText) {
  for (const char* text : {"", "\n", "-", "0-", "-3", "3-1", "0,,1", "a", "0-3;5", "0-70000"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(CountCpuList(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
