#include "agent/parse/net_dev.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;

constexpr char kHeading[] =
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n";

TEST(ParseNetDevTest, ReadsEveryColumn) {
  const auto lines = ParseNetDev(absl::StrCat(
      kHeading,
      "    lo:  534587     337    0    0    0     0          0         0   534587     337 "
      "   0    0    0     0       0          0\n",
      "eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 18446744073709551615 17\n"));
  ASSERT_THAT(lines, IsOk());
  ASSERT_EQ(lines->size(), 2);
  EXPECT_EQ(lines->at(0).device, "lo");
  EXPECT_EQ(lines->at(0).counters.receive_bytes, 534587);
  EXPECT_EQ(lines->at(1).device, "eth0");
  const LinkCounters expected = {.receive_bytes = 1,
                                 .receive_packets = 2,
                                 .receive_errs = 3,
                                 .receive_drop = 4,
                                 .receive_fifo = 5,
                                 .receive_frame = 6,
                                 .receive_compressed = 7,
                                 .receive_multicast = 8,
                                 .transmit_bytes = 9,
                                 .transmit_packets = 10,
                                 .transmit_errs = 11,
                                 .transmit_drop = 12,
                                 .transmit_fifo = 13,
                                 .transmit_colls = 14,
                                 .transmit_carrier = 15,
                                 .transmit_compressed = 18446744073709551615U,
                                 .receive_nohandler = 0};
  EXPECT_EQ(lines->at(1).counters, expected);
}

TEST(ParseNetDevTest, HasNoLinksInAnEmptyNamespace) {
  const auto lines = ParseNetDev(kHeading);
  ASSERT_THAT(lines, IsOk());
  EXPECT_TRUE(lines->empty());
}

TEST(ParseNetDevTest, RejectsMalformedText) {
  for (const char* text : {":1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", "eth0:\n",
                           "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15\n",
                           "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 x\n",
                           "eth0: -1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
                           "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 18446744073709551616\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseNetDev(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
