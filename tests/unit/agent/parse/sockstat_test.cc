#include "agent/parse/sockstat.h"

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseSockstatTest, ReadsEveryField) {
  EXPECT_THAT(
      ParseSockstat("sockets: used 24\n"
                    "TCP: inuse 7 mem 275\n"
                    "FRAG6: inuse 0 memory 0\n"),
      IsOkAnd(ElementsAre(SockstatField{"sockets", "used", 24}, SockstatField{"TCP", "inuse", 7},
                          SockstatField{"TCP", "mem", 275}, SockstatField{"FRAG6", "inuse", 0},
                          SockstatField{"FRAG6", "memory", 0})));
  EXPECT_THAT(ParseSockstat(""), IsOkAnd(IsEmpty()));
}

TEST(ParseSockstatTest, RejectsMalformedText) {
  for (const char* text : {"TCP inuse 7\n", ": inuse 7\n", "TCP: inuse\n", "TCP: inuse x\n",
                           "TCP: inuse -1\n", "TCP: inuse 7 mem\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseSockstat(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
