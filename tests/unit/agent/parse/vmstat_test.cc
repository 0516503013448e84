#include "agent/parse/vmstat.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

TEST(ParseVmstatTest, KeepsWhatNodeExporterKeeps) {
  const auto vmstat = ParseVmstat(
      "nr_free_pages 5677845\npgpgin 2014637\npgpgout 1457368\npswpin 1\npswpout 2\n"
      "pgalloc_normal 7042720\npgfault 7536497\npgmajfault 1432\npgrefill 0\noom_kill 3\n");
  ASSERT_THAT(vmstat, IsOk());
  std::string all;
  for (size_t i = 0; i < vmstat->size(); ++i) {
    absl::StrAppend(&all, vmstat->name(i), "=", vmstat->value(i), " ");
  }
  EXPECT_EQ(all,
            "pgpgin=2.01464e+06 pgpgout=1.45737e+06 pswpin=1 pswpout=2 pgfault=7.5365e+06 "
            "pgmajfault=1432 oom_kill=3 ");
}

TEST(ParseVmstatTest, IsEmptyWithoutThem) {
  for (const char* text : {"", "\n", "nr_free_pages x\n", "pg\n", "p\n"}) {
    SCOPED_TRACE(text);
    const auto vmstat = ParseVmstat(text);
    ASSERT_THAT(vmstat, IsOk());
    EXPECT_EQ(vmstat->size(), 0);
  }
}

TEST(ParseVmstatTest, RejectsMalformedText) {
  for (const char* text : {"oom_kill\n", "oom_kill x\n", "pgfault -1\n", "pswpin 1.5\n",
                           "pgmajfault 99999999999999999999\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseVmstat(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseVmstatTest, HasABound) {
  std::string text;
  for (int i = 0; i < 65; ++i) absl::StrAppend(&text, "oom_kill", i, " 1\n");
  EXPECT_THAT(ParseVmstat(text), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace fleet::agent
