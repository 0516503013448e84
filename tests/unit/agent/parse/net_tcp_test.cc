#include "agent/parse/net_tcp.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kTcpHeading[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n";
constexpr char kUnixHeading[] = "Num       RefCount Protocol Flags    Type St Inode Path\n";

TEST(ParseNetTcpTest, KeepsListeningSockets) {
  const auto listeners = ParseNetTcp(absl::StrCat(
      kTcpHeading,
      "   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 "
      "42906 1 00000000264309e2 100 0 0 10 0\n"
      "   1: 0400EB0A:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
      "1679 1 000000001d19bb1a 100 0 0 10 0\n"
      "   3: 0100007F:945E 0100007F:7203 06 00000000:00000000 03:0000124D 00000000     0        0 "
      "0 3 0000000046f628cd\n"));
  EXPECT_THAT(listeners, IsOkAnd(ElementsAre(TcpListener{"127.0.0.1", 6379},
                                             TcpListener{"10.235.0.4", 5432})));
}

TEST(ParseNetTcpTest, ReadsIpv6) {
  const auto listeners = ParseNetTcp(
      "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A x\n"
      "   1: 00000000000000000000000001000000:18EB 00000000000000000000000000000000:0000 0A x\n"
      "   2: 0000000000000000FFFF00000100007F:18EC 00000000000000000000000000000000:0000 0A x\n");
  EXPECT_THAT(listeners, IsOkAnd(ElementsAre(TcpListener{"::", 22}, TcpListener{"::1", 6379},
                                             TcpListener{"::ffff:127.0.0.1", 6380})));
}

TEST(ParseNetTcpTest, AnEmptyTableIsNoError) {
  EXPECT_THAT(ParseNetTcp(kTcpHeading), IsOkAnd(IsEmpty()));
}

TEST(ParseNetTcpTest, RejectsMalformedText) {
  for (const char* text :
       {"garbage", "   0: 0100007F:18EB", "   0: 0100007F:18EB 00000000:0000",
        "   0: 0100007F 00000000:0000 0A", "   0: 0100007F:18EBB 00000000:0000 0A",
        "   0: 0100007:18EB 00000000:0000 0A", "   0: 0100007G:18EB 00000000:0000 0A",
        "   0: 0100007F:18EX 00000000:0000 0A", "   0: 0100007F:18EB 00000000:0000 LISTEN",
        "   0 0100007F:18EB 00000000:0000 0A"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseNetTcp(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseNetUnixTest, KeepsNamedStreamSocketsThatListen) {
  const auto paths = ParseNetUnix(absl::StrCat(
      kUnixHeading,
      "0000000026ac5b43: 00000002 00000000 00010000 0001 01 42907 /run/redis/with blank.sock\n"
      "00000000b14479dd: 00000003 00000000 00000000 0001 03  1676\n"
      "00000000b14479de: 00000003 00000000 00000000 0001 03  1677 /run/connected\n"
      "00000000b14479df: 00000002 00000000 00010000 0005 01  1678 /run/udev/control\n"
      "00000000b14479e0: 00000002 00000000 00010000 0001 01  1679 @abstract\n"));
  EXPECT_THAT(paths, IsOkAnd(ElementsAre("/run/redis/with blank.sock")));
}

TEST(ParseNetUnixTest, RejectsMalformedText) {
  for (const char* text :
       {"garbage", "0: 2 0 10000", "0: 00000002 00000000 0001000x 0001 01 42907 /a",
        "0: 00000002 00000000 00010000 zzzz 01 42907 /a",
        "0: 00000002 00000000 00010000 0001 1 42907 /a",
        "0: 00000002 00000000 00010000 0001 01 inode /a"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseNetUnix(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
