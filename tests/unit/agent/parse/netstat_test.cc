#include "agent/parse/netstat.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ParseNetstatTest, KeepsWhatNodeExporterKeeps) {
  NetstatLayout layout;
  EXPECT_THAT(ParseNetstat("TcpExt: SyncookiesSent PruneCalled ListenDrops TCPTimeouts\n"
                           "TcpExt: 1 2 3 4\n"
                           "IpExt: InNoRoutes InOctets OutOctets\n"
                           "IpExt: 5 6 7\n"
                           "Ip: Forwarding DefaultTTL\n"
                           "Ip: 2 64\n"
                           "Tcp: RtoMax MaxConn CurrEstab\n"
                           "Tcp: 120000 -1 4\n"
                           "UdpLite: InDatagrams InErrors\n"
                           "UdpLite: 8 9\n",
                           layout),
              IsOkAnd(ElementsAre(
                  NetstatField{"TcpExt_SyncookiesSent", 1}, NetstatField{"TcpExt_ListenDrops", 3},
                  NetstatField{"TcpExt_TCPTimeouts", 4}, NetstatField{"IpExt_InOctets", 6},
                  NetstatField{"IpExt_OutOctets", 7}, NetstatField{"Ip_Forwarding", 2},
                  NetstatField{"Tcp_CurrEstab", 4}, NetstatField{"UdpLite_InErrors", 9})));
}

TEST(ParseNetstatTest, ReadsNamesAnewWhereTheyChanged) {
  NetstatLayout layout;
  EXPECT_THAT(ParseNetstat("Tcp: InSegs OutSegs\nTcp: 1 2\nIp: Forwarding\nIp: 1\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Tcp_InSegs", 1}, NetstatField{"Tcp_OutSegs", 2},
                                  NetstatField{"Ip_Forwarding", 1})));
  // The same names, then one more in front, other lines, and what the layout never was of.
  EXPECT_THAT(ParseNetstat("Tcp: InSegs OutSegs\nTcp: 3 4\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Tcp_InSegs", 3}, NetstatField{"Tcp_OutSegs", 4})));
  EXPECT_THAT(ParseNetstat("Tcp: New InSegs OutSegs\nTcp: 9 5 6\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Tcp_InSegs", 5}, NetstatField{"Tcp_OutSegs", 6})));
  EXPECT_THAT(
      ParseNetstat("Ip: Forwarding\nIp: 7\nTcp: InSegs\nTcp: 8\n", layout),
      IsOkAnd(ElementsAre(NetstatField{"Ip_Forwarding", 7}, NetstatField{"Tcp_InSegs", 8})));
}

TEST(ParseNetstatTest, RejectsWhatItsLayoutDoesNotFit) {
  NetstatLayout layout;
  ASSERT_THAT(ParseNetstat("Tcp: InSegs OutSegs\nTcp: 1 2\n", layout), IsOkAnd(SizeIs(2)));
  for (const char* text : {"Tcp: InSegs OutSegs\nTcp: 1\n", "Tcp: InSegs OutSegs\nTcp: 1 2 3\n",
                           "Tcp: InSegs OutSegs\nIp: 1 2\n", "Tcp: InSegs OutSegs\nTcp: 1 x\n",
                           "Tcp: InSegs\nTcp:\n", "Tcp InSegs\nTcp 1\n", "Tcp: InSegs OutSegs\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseNetstat(text, layout), HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ParseNetstat("Tcp: InSegs OutSegs\nTcp: 3 4\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Tcp_InSegs", 3}, NetstatField{"Tcp_OutSegs", 4})));
}

TEST(ParseNetstatTest, RejectsMalformedText) {
  for (const char* text : {"TcpExt: ListenDrops\n", "TcpExt: ListenDrops\nIpExt: 1\n",
                           "TcpExt: ListenDrops\nTcpExt:\n", "TcpExt: ListenDrops\nTcpExt: 1 2\n",
                           "TcpExt: ListenDrops\nTcpExt: x\n", "TcpExt: ListenDrops\nTcpExt: nan\n",
                           "Tcp a\nTcp 1\n", ": a\n: 1\n", "   \n   \n"}) {
    SCOPED_TRACE(text);
    NetstatLayout layout;
    EXPECT_THAT(ParseNetstat(text, layout), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseSnmp6Test, SplitsTheNameAtTheSix) {
  NetstatLayout layout;
  EXPECT_THAT(ParseSnmp6("Ip6InReceives                   \t1\n"
                         "Ip6InOctets                     \t128\n"
                         "Icmp6InMsgs\t2\n"
                         "Icmp6OutType133\t3\n"
                         "Udp6RcvbufErrors \t4\n"
                         "UdpLite6InErrors \t5\n"
                         "Something \t6\n",
                         layout),
              IsOkAnd(ElementsAre(
                  NetstatField{"Ip6_InOctets", 128}, NetstatField{"Icmp6_InMsgs", 2},
                  NetstatField{"Udp6_RcvbufErrors", 4}, NetstatField{"UdpLite6_InErrors", 5})));
  EXPECT_THAT(ParseSnmp6("", layout), IsOkAnd(IsEmpty()));
}

TEST(ParseSnmp6Test, ReadsNamesAnewWhereTheyChanged) {
  NetstatLayout layout;
  EXPECT_THAT(ParseSnmp6("Ip6InOctets 1\nIp6InReceives 2\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Ip6_InOctets", 1})));
  EXPECT_THAT(ParseSnmp6("Ip6InReceives 3\nIp6InOctets 4\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Ip6_InOctets", 4})));
  EXPECT_THAT(ParseSnmp6("Ip6InReceives 5\nIp6InOctets6 6\nIp6InOctets 7\n", layout),
              IsOkAnd(ElementsAre(NetstatField{"Ip6_InOctets", 7})));
}

TEST(ParseSnmp6Test, RejectsMalformedText) {
  for (const char* text : {"Ip6InOctets\n", "Ip6InOctets x\n", "Ip6InOctets 1 2\n"}) {
    SCOPED_TRACE(text);
    NetstatLayout layout;
    EXPECT_THAT(ParseSnmp6(text, layout), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(IsNetstatFieldKeptTest, ComparesWholeNames) {
  EXPECT_TRUE(IsNetstatFieldKept("Udp6", "NoPorts"));
  EXPECT_FALSE(IsNetstatFieldKept("UdpLite6", "NoPorts"));
  EXPECT_FALSE(IsNetstatFieldKept("TcpExt", "TCPTimeoutsX"));
  EXPECT_FALSE(IsNetstatFieldKept("Tcp", "ListenDrops"));
  EXPECT_TRUE(IsNetstatFieldKept("Tcp", "InErrs"));
}

}  // namespace
}  // namespace fleet::agent
