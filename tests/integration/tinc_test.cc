#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "agent/echo.h"
#include "common/scoped_fd.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasProgram;
using ::fleet::test::IsOk;
using ::fleet::test::Output;
using ::fleet::test::Process;
using ::fleet::test::ReadFile;
using ::fleet::test::Shell;
using ::fleet::test::TempDir;
using ::fleet::test::WaitFor;
using ::fleet::test::WriteFile;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// One machine: a network namespace with a tincd of its own, which sees its own /etc/tinc and /run.
class Machine {
 public:
  Machine(const TempDir& dir, std::string name, int number)
      : name_(std::move(name)),
        number_(number),
        netns_(absl::StrCat("fleet", ::getpid(), name_)),
        etc_(dir / absl::StrCat(name_, "/etc")),
        run_(dir / absl::StrCat(name_, "/run")) {
    std::error_code error;
    std::filesystem::create_directories(etc_ + "/chitter/hosts", error);
    std::filesystem::create_directories(run_, error);
    Must(absl::StrCat("ip netns add ", netns_, " && ip -n ", netns_, " link set lo up"));
  }
  ~Machine() {
    tincd_.reset();
    Shell(absl::StrCat("ip netns del ", netns_));
  }

  static void Must(const std::string& command) {
    const Output output = Shell(command);
    ASSERT_EQ(output.exit_code, 0) << command << "\n" << output.text;
  }

  const std::string& name() const { return name_; }
  const std::string& netns() const { return netns_; }
  std::string vpn_address() const { return absl::StrCat("10.99.0.", number_); }
  std::string host_file() const { return absl::StrCat(etc_, "/chitter/hosts/", name_); }
  std::string log() const { return ReadFile(run_ + "/log"); }
  std::string events() const { return ReadFile(run_ + "/fleet-tinc/events"); }

  void Configure(absl::string_view address, absl::string_view connect_to) {
    const std::string folder = absl::StrCat(etc_, "/chitter/");
    WriteFile(folder + "tinc.conf",
              absl::StrCat("Name = ", name_, "\nInterface = tun0\nAddressFamily = ipv4\n",
                           "PingInterval = 2\nPingTimeout = 1\nMaxTimeout = 2\n",
                           connect_to.empty() ? "" : absl::StrCat("ConnectTo = ", connect_to)));
    WriteFile(folder + "tinc-up",
              absl::StrCat("#!/bin/sh\nip link set $INTERFACE up mtu 1400\nip addr add ",
                           vpn_address(), "/24 dev $INTERFACE\n"));
    ::chmod((folder + "tinc-up").c_str(), 0755);
    for (const char* script : {"host-up", "host-down"}) {
      std::error_code error;
      std::filesystem::copy_file(absl::StrCat(FLEET_SOURCE_DIR "/deploy/tinc/", script),
                                 folder + script, error);
    }
    WriteFile(host_file(),
              absl::StrCat("Address = ", address, "\nSubnet = ", vpn_address(), "/32\n"));
    Must(absl::StrCat("tincd -n chitter -c ", folder, " -K1024 </dev/null"));
  }

  void Know(const Machine& other) {
    WriteFile(absl::StrCat(etc_, "/chitter/hosts/", other.name()), ReadFile(other.host_file()));
  }

  void Start() {
    // Each of these ends in exec: the process is tincd itself.
    const std::string command =
        absl::StrCat("mount --make-rprivate / && mount --bind ", etc_,
                     " /etc/tinc && mount --bind ", run_, " /run && exec tincd -n chitter -D -d2");
    Process::Options options;
    options.output_path = run_ + "/log";
    options.environment = {{"PATH", absl::StrCat(FLEET_BIN_DIR, ":/usr/sbin:/usr/bin:/sbin:/bin")}};
    tincd_ =
        std::make_unique<Process>(std::vector<std::string>{"nsenter", "--net=/run/netns/" + netns_,
                                                           "unshare", "-m", "sh", "-c", command},
                                  options);
  }
  Process& tincd() { return *tincd_; }
  void Stop() { tincd_.reset(); }

  /// Runs `work` on this machine, in a thread that sees its network, /sys, /etc/tinc and /run.
  template <typename Work>
  void On(Work work) const {
    std::thread thread([&] {
      const ScopedFd net(::open(("/run/netns/" + netns_).c_str(), O_RDONLY | O_CLOEXEC));
      ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
      ASSERT_EQ(::setns(net.get(), CLONE_NEWNET), 0);
      ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
      ASSERT_EQ(::mount("sysfs", "/sys", "sysfs", MS_RDONLY, nullptr), 0);
      ASSERT_EQ(::mount(etc_.c_str(), "/etc/tinc", nullptr, MS_BIND, nullptr), 0);
      ASSERT_EQ(::mount(run_.c_str(), "/run", nullptr, MS_BIND, nullptr), 0);
      work();
    });
    thread.join();
  }

 private:
  const std::string name_;
  const int number_;
  const std::string netns_;
  const std::string etc_;
  const std::string run_;
  std::unique_ptr<Process> tincd_;
};

/// tempo in the middle, joined with parasect and a laptop; the latter two never meet but by tempo.
class TincTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::IsRoot()) GTEST_SKIP() << "needs root for network namespaces";
    for (const char* program : {"tincd", "ip", "nft", "nsenter", "unshare"}) {
      if (!HasProgram(program)) GTEST_SKIP() << "needs " << program;
    }
    if (::access("/dev/net/tun", R_OK | W_OK) != 0) GTEST_SKIP() << "needs /dev/net/tun";
    tempo_ = std::make_unique<Machine>(dir_, "tempo", 1);
    parasect_ = std::make_unique<Machine>(dir_, "parasect", 2);
    laptop_ = std::make_unique<Machine>(dir_, "laptop", 3);
    Join(*parasect_, "10.98.0");
    Join(*laptop_, "10.98.1");
    tempo_->Configure("10.98.0.1", "parasect");
    parasect_->Configure("10.98.0.2", "");
    laptop_->Configure("10.98.1.2", "tempo");
    tempo_->Know(*parasect_);
    tempo_->Know(*laptop_);
    parasect_->Know(*tempo_);
    laptop_->Know(*tempo_);
    if (HasFatalFailure()) return;
    Replace(laptop_->name() + "/etc/chitter/hosts/tempo", "10.98.0.1", "10.98.1.1");

    runner_ = std::make_unique<CheckRunner>(HostFs());
    runner_->UseRealClock();
    runner_->options().tinc.peers = {{"parasect", ""}};
  }

  void Join(const Machine& other, const std::string& network) {
    const std::string there = other.name();
    Machine::Must(absl::StrCat(
        "ip -n ", tempo_->netns(), " link add ", there, " type veth peer name eth0 netns ",
        other.netns(), " && ip -n ", tempo_->netns(), " addr add ", network, ".1/24 dev ", there,
        " && ip -n ", tempo_->netns(), " link set ", there, " up && ip -n ", other.netns(),
        " addr add ", network, ".2/24 dev eth0 && ip -n ", other.netns(), " link set eth0 up"));
  }

  void Replace(const std::string& file, absl::string_view from, absl::string_view to) {
    std::string text = ReadFile(dir_ / file);
    const size_t at = text.find(std::string(from));
    ASSERT_NE(at, std::string::npos);
    text.replace(at, from.size(), std::string(to));
    WriteFile(dir_ / file, text);
  }

  void StartEchoOnParasect() {
    parasect_->On([&] {
      auto server = EchoServer::Start(EchoOptionsFromTinc(HostFs(), TincOptions()));
      ASSERT_THAT(server, IsOk());
      echo_ = *std::move(server);
    });
  }

  /// One run of the check on tempo.
  CheckResult Look() {
    CheckResult result;
    tempo_->On([&] {
      if (check_ == nullptr) check_ = MakeTincCheck(runner_->env());
      result = runner_->Run(*check_);
    });
    return result;
  }
  static std::string ItemOf(const CheckResult& result, absl::string_view name) {
    for (const std::string& item : result.items()) {
      if (absl::StartsWith(item, absl::StrCat(name, " "))) return item;
    }
    return "";
  }
  /// Looks until the item starts so. A short pause lies between two looks only while it does not.
  ::testing::AssertionResult Becomes(absl::string_view name, absl::string_view start,
                                     absl::Duration timeout = absl::Seconds(20)) {
    std::string last;
    const bool became = WaitFor(
        [&] {
          const CheckResult result = Look();
          last = absl::StrJoin(result.items(), "\n");
          return absl::StartsWith(ItemOf(result, name), absl::StrCat(name, " ", start));
        },
        timeout);
    if (became) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "the last look showed\n"
                                         << last << "\ntempo's log:\n"
                                         << tempo_->log();
  }

  const TempDir dir_;
  std::unique_ptr<Machine> tempo_, parasect_, laptop_;
  std::unique_ptr<EchoServer> echo_;
  std::unique_ptr<CheckRunner> runner_;
  std::unique_ptr<Check> check_;
};

TEST_F(TincTest, MeasuresAPeerAndNamesWhoeverElseIsThere) {
  parasect_->Start();
  tempo_->Start();
  StartEchoOnParasect();
  ASSERT_TRUE(Becomes("parasect", "ok"));
  CheckResult result = Look();
  EXPECT_THAT(ItemOf(result, "tincd"), StartsWith("tincd ok tinc 1.0, up "));
  const std::string peer = "net=\"chitter\",peer=\"parasect\"";
  EXPECT_EQ(result.value(absl::StrCat("fleet_tinc_peer_echo{", peer, "}")), 1);
  EXPECT_EQ(result.value(absl::StrCat("fleet_tinc_peer_mtu_bytes{", peer, "}")), 1400);
  EXPECT_GT(result.value(absl::StrCat("fleet_tinc_peer_rtt_seconds{", peer, ",size=\"64\"}")), 0);
  EXPECT_GT(result.value(absl::StrCat("fleet_tinc_peer_rtt_seconds{", peer, ",size=\"mtu\"}")), 0);
  EXPECT_GT(result.value("fleet_tinc_transmit_bytes_total{net=\"chitter\"}"), 1400);
  ASSERT_TRUE(Becomes("presence", "ok 1 node on the VPN"));
  EXPECT_TRUE(Becomes("parasect", "ok direct (inferred), "));

  laptop_->Start();
  ASSERT_TRUE(Becomes("laptop", "warn on the VPN from 10.98.1.2, but neither a peer nor allowed"));
  runner_->options().tinc.allowed = {"laptop"};
  check_ = nullptr;
  ASSERT_TRUE(Becomes("laptop", "ok"));
  laptop_->tincd().Stop();
  ASSERT_TRUE(Becomes("laptop", "ok not connected, may come and go"));
  EXPECT_THAT(tempo_->events(), HasSubstr(" chitter tun0 laptop 10.98.1.2\n"));
}

TEST_F(TincTest, SeesAPeerDieAndComeBack) {
  parasect_->Start();
  tempo_->Start();
  // Without an echo: its kernel refuses, which proves the path as well.
  ASSERT_TRUE(Becomes("parasect", "ok"));
  parasect_->tincd().Kill(SIGKILL);
  ASSERT_TRUE(Becomes("parasect", "crit unreachable"));
  EXPECT_EQ(Look().verdict(), Verdict::kCrit);
  parasect_->Start();
  ASSERT_TRUE(Becomes("parasect", "ok"));
  tempo_->tincd().Kill(SIGKILL);
  ASSERT_TRUE(tempo_->tincd().Wait(absl::Seconds(10)).has_value());
  ASSERT_TRUE(Becomes("tincd", "crit tincd is not running"));
  EXPECT_EQ(ItemOf(Look(), "parasect"), "parasect crit no path: tincd is down");
  // What was written before is void: its host-down never ran.
  tempo_->Start();
  ASSERT_TRUE(Becomes("parasect", "ok"));
}

TEST_F(TincTest, StaysReachableWhenUdpIsBlocked) {
  parasect_->Start();
  tempo_->Start();
  StartEchoOnParasect();
  ASSERT_TRUE(Becomes("parasect", "ok direct (inferred)"));
  Machine::Must(absl::StrCat("ip netns exec ", parasect_->netns(),
                             " nft 'add table inet t; add chain inet t i { type filter hook input "
                             "priority 0; }; add rule inet t i iifname eth0 udp dport 655 drop'"));
  // tincd 1.0 loses packets until its own PMTU probes tell it, then goes over to TCP.
  EXPECT_TRUE(Becomes("parasect", "ok relayed over TCP (inferred)", absl::Seconds(60)));
}

}  // namespace
}  // namespace fleet::agent
