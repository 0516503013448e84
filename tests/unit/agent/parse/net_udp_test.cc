#include "agent/parse/net_udp.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;

constexpr char kHeading[] =
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode ref pointer drops\n";

TEST(ParseNetUdpTest, SumsBothQueues) {
  EXPECT_THAT(
      ParseNetUdp(absl::StrCat(
          kHeading,
          " 3253: 00000000:0044 00000000:0000 07 00000001:000000FF 00:00000000 00000000     0\n",
          " 3254: 00000000:0045 00000000:0000 07 00000002:00000001 00:00000000 00000000     0\n")),
      IsOkAnd(UdpQueues{.transmit_bytes = 3, .receive_bytes = 256}));
  EXPECT_THAT(ParseNetUdp(kHeading), IsOkAnd(UdpQueues{}));
  EXPECT_THAT(ParseNetUdp(""), IsOkAnd(UdpQueues{}));
}

TEST(ParseNetUdpTest, RejectsMalformedText) {
  for (const char* line :
       {"3253: 0:44 0:0 07\n", "3253: 0:44 0:0 07 12\n", "3253: 0:44 0:0 07 x:1\n",
        "3253: 0:44 0:0 07 1:\n", "3253: 0:44 0:0 07 1:11111111111111111\n"}) {
    SCOPED_TRACE(line);
    EXPECT_THAT(ParseNetUdp(absl::StrCat(kHeading, line)),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
