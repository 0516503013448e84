#include "agent/parse/tinc_config.h"

#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::fleet::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ParseTincConfigTest, ReadsTincConf) {
  const auto config = ParseTincConfig(test::Fixture("tinc/tinc.conf"));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->name, "nodea");
  EXPECT_EQ(config->interface, "tinc0");
  EXPECT_THAT(config->connect_to, ElementsAre("nodeb"));
}

TEST(ParseTincConfigTest, ReadsAHostsFileInEverySpelling) {
  const auto config = ParseTincConfig(
      "# a server\r\n"
      "address=parasect.example.org 655\n"
      "SUBNET\t10.235.0.3/32#10\n"
      "Subnet = fd00::3\n"
      "Subnet = 10.235.8.0/24\n"
      "Subnet = 0:1a:2b:3c:4d:5e\n"
      "Port = 1655\n"
      "Ed25519PublicKey = abc\n"
      "-----BEGIN RSA PUBLIC KEY-----\n"
      "Subnet = 10.0.0.1\n"
      "-----END RSA PUBLIC KEY-----\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(config->addresses, ElementsAre("parasect.example.org"));
  EXPECT_THAT(config->subnets,
              ElementsAre(TincSubnet{"10.235.0.3", 32, false}, TincSubnet{"fd00::3", 128, true},
                          TincSubnet{"10.235.8.0", 24, false}));
  EXPECT_TRUE(config->subnets[0].is_host());
  EXPECT_FALSE(config->subnets[2].is_host());
  EXPECT_EQ(config->port, 1655);
}

TEST(ParseTincConfigTest, KeepsANameThatIsAVariable) {
  EXPECT_EQ(ParseTincConfig("Name = $HOST\n")->name, "$HOST");
}

TEST(ParseTincConfigTest, NamesTheLineOfAMalformedValue) {
  EXPECT_THAT(ParseTincConfig("Name = a\nConnectTo = ../../etc\n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2")));
  for (const char* text :
       {"Name = a-b", "Name = $", "Interface = ../x", "ConnectTo = a b", "Subnet = 10.235.0",
        "Subnet = 10.235.0.3/33", "Subnet = 10.235.0.256", "Subnet = fd00::3/129",
        "Subnet = 10.0.0.1/x", "Subnet = 1::2:3::g", "Port = 65536", "Port = -1"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseTincConfig(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ParseTincConfig(""), IsOkAnd(TincConfig{}));
  EXPECT_THAT(ParseTincConfig("Name\n= \n-----BEGIN never ends"), IsOkAnd(TincConfig{}));
}

TEST(ParseTincPidTest, ReadsBothVersions) {
  EXPECT_THAT(ParseTincPid("5724\n"), IsOkAnd(TincPid{5724, ""}));
  const std::string cookie(64, 'F');
  EXPECT_THAT(ParseTincPid(absl::StrCat("26463 ", cookie, " 127.0.0.1 port 655\n")),
              IsOkAnd(TincPid{26463, cookie}));
}

TEST(ParseTincPidTest, TakesNoRestOfALongerOneForACookie) {
  EXPECT_THAT(ParseTincPid("312\n0\n"), IsOkAnd(TincPid{312, ""}));
  EXPECT_THAT(ParseTincPid("4321\n\n"), IsOkAnd(TincPid{4321, ""}));
}

TEST(ParseTincPidTest, RejectsMalformedTextWithoutRepeatingACookie) {
  for (const char* text : {"", "\n", "0", "-1", "x", "99999999999", "12 short"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseTincPid(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
  const std::string cookie(63, 'A');
  EXPECT_THAT(std::string(ParseTincPid(absl::StrCat("1 ", cookie)).status().message()),
              Not(HasSubstr("AAAA")));
}

}  // namespace
}  // namespace fleet::agent
