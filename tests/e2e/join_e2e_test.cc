// A token is asked for with only where its holder can keep what comes of it. No collector answers
// here: whoever asks says so.
#include <sys/stat.h>

#include "common/join_token.h"
#include "common/x509_issue.h"
#include "tests/support/fleet_processes.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class JoinE2eTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkdir((dir_ / "tls").c_str(), 0700), 0);
    WriteFile(dir_ / "tls/key.pem", "the former key");
  }
  static std::string Program(absl::string_view name) {
    return absl::StrCat(FLEET_BIN_DIR, "/", name);
  }
  std::string Token() const {
    return FormatJoinToken(
        {SecureRandom(16), std::string(64, 'a'), absl::StrCat("127.0.0.1:", FreePort())});
  }
  Output JoinAgent(const std::string& ca, const std::string& cert, const std::string& key) {
    WriteFile(dir_ / "agent.yaml", absl::StrCat("collector: 127.0.0.1:1\ntls: {ca: ", ca,
                                                ", cert: ", cert, ", key: ", key, "}\n"));
    return RunProgram({Program("fleet-agent"), "--config", dir_ / "agent.yaml", "join", Token()});
  }
  Output JoinAdmin(const std::string& directory) {
    return RunProgram({Program("fleetctl"), "--ca", directory + "/ca.pem", "--cert",
                       directory + "/cert.pem", "--key", directory + "/key.pem", "join", Token()});
  }
  std::string File(const std::string& name) const { return dir_ / "tls/" + name; }

  TempDir dir_;
};

TEST_F(JoinE2eTest, ACredentialsNameIsNoPlaceForAKey) {
  const Output output = JoinAgent(File("ca.pem"), File("cert.pem"), "fleet-agent.key");
  EXPECT_EQ(output.exit_code, 64);
  EXPECT_THAT(output.text,
              AllOf(HasSubstr("\"fleet-agent.key\" is what systemd's LoadCredential gives"),
                    HasSubstr("name paths"), HasSubstr("the token is not used up yet")));
}

TEST_F(JoinE2eTest, NobodyIsAskedWhereNothingCanBeWritten) {
  // Not even root can write here.
  const Output output = JoinAgent(File("ca.pem"), "/proc/fleet/cert.pem", File("key.pem"));
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.text,
              AllOf(HasSubstr("mkdir /proc/fleet"), HasSubstr("the token is not used up yet")));
  EXPECT_THAT(JoinAdmin("/proc/fleet").text, HasSubstr("the token is not used up yet"));
  EXPECT_EQ(ReadFile(File("key.pem")), "the former key");
  ASSERT_EQ(::mkdir(File("cert.pem").c_str(), 0700), 0);
  EXPECT_THAT(JoinAgent(File("ca.pem"), File("cert.pem"), File("key.pem")).text,
              AllOf(HasSubstr("cert.pem: Is a directory"), HasSubstr("is not used up yet")));
}

TEST_F(JoinE2eTest, WhatWaitedGoesWhenNobodyAnswers) {
  const Output output = JoinAgent(File("ca.pem"), File("cert.pem"), File("key.pem"));
  EXPECT_EQ(output.exit_code, 1);
  EXPECT_THAT(output.text, Not(HasSubstr("the token is not used up yet")));
  EXPECT_EQ(ReadFile(File("key.pem")), "the former key");
  EXPECT_EQ(Shell(absl::StrCat("ls ", dir_ / "tls")).text, "key.pem\n");
}

}  // namespace
}  // namespace fleet::test
