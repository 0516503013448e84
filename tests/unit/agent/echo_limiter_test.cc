#include "agent/echo.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeClock;
using ::testing::ElementsAre;

IpAddress Ip(absl::string_view text) { return IpAddress::Parse(text).value(); }

TEST(SourceLimiterTest, GivesEachSourceItsOwnRate) {
  FakeClock clock;
  SourceLimiter limiter(clock);
  int allowed = 0;
  for (int i = 0; i < 1000; ++i) allowed += limiter.Allow(Ip("10.235.0.3")) ? 1 : 0;
  EXPECT_EQ(allowed, 40);
  EXPECT_TRUE(limiter.Allow(Ip("10.235.0.4")));
  clock.Advance(absl::Seconds(1));
  allowed = 0;
  for (int i = 0; i < 1000; ++i) allowed += limiter.Allow(Ip("10.235.0.3")) ? 1 : 0;
  EXPECT_EQ(allowed, 20);
}

TEST(SourceLimiterTest, IsBoundedInSourcesAndInAll) {
  FakeClock clock;
  SourceLimiter limiter(clock);
  IpAddress source = Ip("10.0.0.0");
  int allowed = 0;
  for (int i = 0; i < 10'000; ++i) {
    source.bytes[2] = static_cast<uint8_t>(i >> 8);
    source.bytes[3] = static_cast<uint8_t>(i);
    allowed += limiter.Allow(source) ? 1 : 0;
  }
  EXPECT_EQ(allowed, 2000);
  clock.Advance(absl::Seconds(10));
  EXPECT_TRUE(limiter.Allow(Ip("10.9.9.9")));
}

TEST(EchoOptionsTest, AllowsConfiguredPeersOnly) {
  EchoOptions options;
  options.peers = {{Ip("10.235.0.3"), 32}, {Ip("10.235.8.0"), 21}, {Ip("fd00::"), 64}};
  EXPECT_TRUE(options.Allows(Ip("10.235.0.3")));
  EXPECT_FALSE(options.Allows(Ip("10.235.0.2")));
  EXPECT_TRUE(options.Allows(Ip("10.235.15.255")));
  EXPECT_FALSE(options.Allows(Ip("10.235.16.0")));
  EXPECT_TRUE(options.Allows(Ip("fd00::1")));
  EXPECT_FALSE(options.Allows(Ip("fd00:0:0:1::1")));
}

TEST(EchoOptionsTest, ComesFromEtcTinc) {
  test::TempHost host;
  host.Write("etc/tinc/chitter/tinc.conf", "Name = tempo\n")
      .Write("etc/tinc/chitter/hosts/tempo", "Subnet = 10.235.0.4\nSubnet = 10.236.0.0/16\n")
      .Write("etc/tinc/chitter/hosts/parasect", "Subnet = 10.235.0.3\n")
      .Write("etc/tinc/chitter/hosts/laptop", "Subnet = 10.235.7.1\n");
  TincOptions tinc;
  const EchoOptions all = EchoOptionsFromTinc(host.fs(), tinc);
  EXPECT_THAT(all.listen, ElementsAre(Ip("10.235.0.4")));
  EXPECT_TRUE(all.Allows(Ip("10.235.7.1")));
  tinc.peers = {{"parasect", ""}};
  const EchoOptions named = EchoOptionsFromTinc(host.fs(), tinc);
  EXPECT_TRUE(named.Allows(Ip("10.235.0.3")));
  EXPECT_FALSE(named.Allows(Ip("10.235.7.1")));
}

TEST(IpAddressTest, ReadsWhatItWrites) {
  for (const char* text : {"10.235.0.3", "0.0.0.0", "fd00::3", "::"}) {
    EXPECT_EQ(Ip(text).ToString(), text);
  }
  for (const char* text : {"", "10.235.0", "10.235.0.3/32", "fd00::g", "host", "10.235.0.3\n"}) {
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace fleet::agent
