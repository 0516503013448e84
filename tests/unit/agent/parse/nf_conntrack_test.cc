#include "agent/parse/nf_conntrack.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;

TEST(ParseConntrackStatTest, SumsOverCpus) {
  EXPECT_THAT(
      ParseConntrackStat(
          "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop "
          "early_drop icmp_error  expect_new expect_create expect_delete search_restart\n"
          "00000000  00000000 00000001 00000000 00000002 00000003 00000000 00000000 00000004 "
          "00000005 00000006 00000007 00000000  00000000 00000000 00000000 00000008\n"
          "00000000  00000000 0000000a 00000000 00000000 00000000 00000000 00000000 00000000 "
          "00000000 00000000 00000000 00000000  00000000 00000000 00000000 ffffffff\n"),
      IsOkAnd(ConntrackStat{.found = 11,
                            .invalid = 2,
                            .ignore = 3,
                            .insert = 4,
                            .insert_failed = 5,
                            .drop = 6,
                            .early_drop = 7,
                            .search_restart = 0x100000007}));
}

TEST(ParseConntrackStatTest, FindsColumnsByName) {
  EXPECT_THAT(ParseConntrackStat("drop found novelty\n1 2 zebra\n"),
              IsOkAnd(ConntrackStat{.found = 2,
                                    .invalid = 0,
                                    .ignore = 0,
                                    .insert = 0,
                                    .insert_failed = 0,
                                    .drop = 1,
                                    .early_drop = 0,
                                    .search_restart = 0}));
}

TEST(ParseConntrackStatTest, RejectsMalformedText) {
  for (const char* text : {"", "\n", "00000000 00000000\n", "found drop\n1\n",
                           "found drop\n1 2 3\n", "found drop\n1 x\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseConntrackStat(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
