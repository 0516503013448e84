#include <sched.h>
#include <sys/mount.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckRunner;
using ::fleet::test::IsOk;
using ::fleet::test::Shell;
using ::fleet::test::WaitFor;
using ::testing::Contains;
using ::testing::StartsWith;

/// Moves this process into a network of its own, with a /sys that shows it.
bool EnterOwnNetwork() {
  return ::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("sysfs", "/sys", "sysfs", MS_RDONLY, nullptr) == 0;
}

/// What the check says about the links' properties: no counters, which move between two looks.
std::vector<std::string> Properties(Check& check, const HostFs& fs) {
  CheckRunner runner(fs);
  runner.UseRealClock();
  std::vector<std::string> kept;
  for (std::string& line : runner.Run(check).lines()) {
    if (absl::StartsWith(line, "node_network_") && !absl::StrContains(line, "_receive_") &&
        (!absl::StrContains(line, "_transmit_") || absl::StrContains(line, "_queue_length"))) {
      kept.push_back(std::move(line));
    }
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}

class NetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fleet::test::IsRoot()) GTEST_SKIP() << "needs root for a network namespace";
    if (!fleet::test::HasProgram("ip")) GTEST_SKIP() << "needs ip of iproute2";
    ASSERT_TRUE(EnterOwnNetwork());
  }
};

TEST_F(NetworkTest, NetlinkAndSysfsAgreeOnEveryLinkAfterEveryChange) {
  const HostFs fast;
  const HostFs slow("/.");  // the same files, but not "the running machine": sysfs only
  ASSERT_FALSE(slow.live());
  const auto check = MakeNetworkCheck(CheckRunner(fast).env());
  const auto slow_check = MakeNetworkCheck(CheckRunner(slow).env());
  for (const char* change : {"true",
                             "ip link set lo up",
                             "ip link add veth0 type veth peer name veth1",
                             "ip link set dev veth0 up",
                             "ip link set dev veth1 up",
                             "ip link set dev veth1 down",
                             "ip link set dev veth1 up",
                             "ip link set dev veth0 alias 'to the \"other\" end'",
                             "ip link set dev veth0 mtu 1400",
                             "ip link add br0 type bridge",
                             "ip link set dev veth1 master br0",
                             "ip link set dev br0 up",
                             "ip link set dev veth0 promisc on",
                             "ip link set dev veth0 allmulticast on",
                             "ip link set dev veth0 group 7",
                             "ip link set dev veth0 txqueuelen 77",
                             "ip link set dev veth0 address 02:00:00:00:00:99",
                             "ip tuntap add dev tun0 mode tun",
                             "ip link set dev tun0 up",
                             "ip link add link veth0 name veth0.5 type vlan id 5",
                             "ip link set dev veth0.5 up",
                             "ip link add gre9 type gre local 127.0.0.1 remote 127.0.0.2",
                             "ip link add dummy0 type dummy",
                             "ip link set dev dummy0 up",
                             "ip link set dev dummy0 carrier off",
                             "ip link set dev dummy0 carrier on",
                             "ip link set dev dummy0 name renamed",
                             "ip link del dev renamed"}) {
    SCOPED_TRACE(change);
    const test::Output output = Shell(change);
    if (output.exit_code != 0) {
      // A kernel without this kind of link has nothing to compare.
      std::printf("skipped: %s: %s", change, output.text.c_str());
      continue;
    }
    // The operational state follows a change with a delay of up to a second.
    WaitFor([&] { return Properties(*check, fast) == Properties(*slow_check, slow); });
    EXPECT_EQ(Properties(*check, fast), Properties(*slow_check, slow));
  }
}

TEST_F(NetworkTest, JudgesTheLinksOfThisNetwork) {
  ASSERT_EQ(
      Shell("ip link add veth0 type veth peer name veth1 && ip link set dev veth0 up").exit_code,
      0);
  CheckRunner runner((HostFs()));
  runner.UseRealClock();
  runner.options().network.expect_up = {"veth0"};
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(),
              Contains("veth0 crit no carrier, but must be up"));
  ASSERT_EQ(Shell("ip link set dev veth1 up").exit_code, 0);
  const auto result = runner.Run(MakeNetworkCheck);
  EXPECT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), Contains(StartsWith("veth0 ok up")));
  EXPECT_EQ(result.value("node_network_carrier{device=\"veth1\"}"), 1);
}

}  // namespace
}  // namespace fleet::agent
