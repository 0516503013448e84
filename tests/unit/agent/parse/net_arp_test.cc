#include "agent/parse/net_arp.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kHeading[] =
    "IP address       HW type     Flags       HW address            Mask     Device\n";

TEST(CountArpEntriesTest, CountsPerDevice) {
  EXPECT_THAT(
      CountArpEntries(absl::StrCat(
          kHeading,
          "192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n",
          "10.0.0.1         0x1         0x2         02:fc:00:00:00:05     *        chitter\n",
          "192.0.2.2        0x1         0x0         00:00:00:00:00:00     *        eth0\n")),
      IsOkAnd(ElementsAre(Pair("eth0", 2), Pair("chitter", 1))));
  EXPECT_THAT(CountArpEntries(kHeading), IsOkAnd(IsEmpty()));
  EXPECT_THAT(CountArpEntries(""), IsOkAnd(IsEmpty()));
}

TEST(CountArpEntriesTest, RejectsMalformedText) {
  for (const char* line : {"192.0.2.1\n", "192.0.2.1 0x1 0x2 02:fc:00:00:00:05 *\n"}) {
    SCOPED_TRACE(line);
    EXPECT_THAT(CountArpEntries(absl::StrCat(kHeading, line)),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
