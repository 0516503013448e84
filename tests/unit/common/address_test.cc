#include "common/address.h"

#include "tests/support/matchers.h"

namespace fleet {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;

TEST(ParseAddressTest, ReadsHostAndPort) {
  EXPECT_THAT(ParseAddress("10.235.0.4:10235"), IsOkAnd(Address{"10.235.0.4", 10235}));
  EXPECT_THAT(ParseAddress("[::1]:0"), IsOkAnd(Address{"::1", 0}));
  EXPECT_THAT(ParseAddress("tempo:65535"), IsOkAnd(Address{"tempo", 65535}));
}

TEST(ParseAddressTest, WritesWhatItReads) {
  for (const char* text : {"10.235.0.4:10235", "[::1]:0", "tempo:65535"}) {
    EXPECT_EQ(ParseAddress(text)->ToString(), text);
  }
}

TEST(ParseAddressTest, RejectsMalformedText) {
  for (const char* text :
       {"", ":", "tempo", "tempo:", ":10235", "::1:10235", "tempo:65536", "tempo:-1", "tempo: 1",
        "tempo:1x", "[]:1", "[::1]", "a b:1", "http://tempo:1", "tempo:99999999999999999999"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseAddress(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(IsLoopbackTest, KnowsThisMachine) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "10.235.0.4", "tempo", "128.0.0.1", "localhost.evil",
                           "::2", "", "127.0.0.1.nip.io"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace fleet
