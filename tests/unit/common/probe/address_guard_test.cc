#include "common/probe/probe.h"

namespace fleet::probe {
namespace {

TEST(RefusePrivateAddressTest, LetsPublicAddressesPass) {
  for (const char* address : {"1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "100.63.255.255",
                              "100.128.0.1", "192.0.1.1", "2a01:4f8::1", "2606:4700:4700::1111",
                              "64:ff9b::808:808", "::ffff:1.1.1.1", "2002:0808:0808::1"}) {
    EXPECT_EQ(RefusePrivateAddress(address, 443), "") << address;
  }
}

TEST(RefusePrivateAddressTest, RefusesTheRest) {
  for (const char* address : {"127.0.0.1",
                              "127.255.255.254",
                              "0.0.0.0",
                              "10.235.0.4",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "169.254.169.254",
                              "100.64.0.1",
                              "224.0.0.1",
                              "255.255.255.255",
                              "240.0.0.1",
                              "198.18.0.1",
                              "192.0.2.1",
                              "::",
                              "::1",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "2001:db8::1",
                              "::ffff:127.0.0.1",
                              "::ffff:10.0.0.1",
                              "64:ff9b::7f00:1",
                              "2002:7f00:1::1",
                              "::127.0.0.1",
                              "4000::1",
                              "2001::1",
                              "",
                              "localhost",
                              "1.1.1.1:80",
                              "0x7f.1"}) {
    EXPECT_NE(RefusePrivateAddress(address, 443), "") << address;
  }
  EXPECT_EQ(RefusePrivateAddress("10.1.2.3", 80),
            "\"10.1.2.3\" is a private address, which is not allowed here");
}

TEST(MakeGuardTest, AllowsWhatIsNamed) {
  const auto guard = MakeGuard({"10.235.0.0/23", "fd00::/8", "127.0.0.1"});
  ASSERT_TRUE(guard.ok());
  for (const char* address : {"10.235.0.4", "10.235.1.255", "fd12::1", "127.0.0.1", "1.1.1.1"}) {
    EXPECT_EQ((*guard)(address, 1), "") << address;
  }
  for (const char* address : {"10.235.2.0", "127.0.0.2", "fc00::1", "::1", "::ffff:10.235.0.4"}) {
    EXPECT_NE((*guard)(address, 1), "") << address;
  }
  for (const char* text : {"", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "10.0.0.0/", "x/8"}) {
    EXPECT_FALSE(MakeGuard({text}).ok()) << text;
  }
}

}  // namespace
}  // namespace fleet::probe
