#include "agent/checks/tinc_check.h"

#include "absl/strings/match.h"
#include "agent/parse/tinc_hook.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempHost;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// Answers for each address as the test says, and remembers what it was asked.
class FakeProber final : public TincProber {
 public:
  struct Script {
    std::map<std::string, TincProbeResult> results;  // by address
    std::vector<TincProbeTarget> asked;
    std::vector<TcpConnection> meta_before, meta_after;
    int meta_calls = 0;
  };
  explicit FakeProber(Script& script) : script_(script) {}
  std::vector<TincProbeResult> Probe(absl::Span<const TincProbeTarget> targets,
                                     absl::Duration) override {
    script_.asked.assign(targets.begin(), targets.end());
    std::vector<TincProbeResult> results;
    for (const TincProbeTarget& target : targets) {
      results.push_back(script_.results[target.address.ToString()]);
    }
    return results;
  }
  std::vector<TcpConnection> MetaConnections(bool ipv6, uint16_t port) override {
    if (ipv6 || port != 655) return {};
    // Once before the probe, once after.
    return script_.meta_calls++ % 2 == 0 ? script_.meta_before : script_.meta_after;
  }

 private:
  Script& script_;
};

TincProbeResult Echo(absl::Duration small = absl::Milliseconds(3)) {
  TincProbeResult result;
  result.small = small;
  result.big = small + absl::Milliseconds(1);
  result.big_packet_bytes = 1400;
  result.echo = true;
  return result;
}
TincProbeResult Unreachable() {
  TincProbeResult result;
  result.unreachable = true;
  return result;
}
TincProbeResult Silence() {
  TincProbeResult result;
  result.big_packet_bytes = 1400;
  return result;
}

constexpr char kBootId[] = "6b0f8c2e-1111-2222-3333-444444444444";

/// tempo, whose tincd 1.0 started 1000 s after boot, with parasect (a server) and a laptop.
class TincCheckTest : public ::testing::Test {
 protected:
  TincCheckTest() : runner_(host_.fs()) {
    host_.Write("etc/tinc/chitter/tinc.conf", "Name = tempo\nConnectTo = parasect\n")
        .Write("etc/tinc/chitter/hosts/tempo", "Subnet = 10.235.0.4\n")
        .Write("etc/tinc/chitter/hosts/parasect", "Address = 203.0.113.7\nSubnet = 10.235.0.3/32\n")
        .Write("etc/tinc/chitter/hosts/laptop", "Subnet = 10.235.7.1\n")
        .Write("run/tinc.chitter.pid", "5724\n")
        .Write("proc/5724/comm", "tincd\n")
        .Write("proc/5724/stat",
               "5724 (tincd) S 1 5724 5724 0 -1 4194368 1 2 3 4 5 6 7 8 20 0 1 0 100000 9 9\n")
        // A boot in the future: everything this test writes is older than tincd's start.
        .Write("proc/stat", "cpu 1 2 3\nbtime 32503680000\n")
        .Write("proc/sys/kernel/random/boot_id", absl::StrCat(kBootId, "\n"))
        .Write("sys/class/net/chitter/flags", "0x10d1\n")
        .Write("sys/class/net/chitter/statistics/rx_bytes", "738\n")
        .Write("sys/class/net/chitter/statistics/tx_bytes", "676\n")
        .Write("sys/class/net/chitter/statistics/rx_packets", "7\n")
        .Write("sys/class/net/chitter/statistics/tx_packets", "6\n");
    script_.results["10.235.0.3"] = Echo();
    script_.results["10.235.7.1"] = Unreachable();
  }

  void InstallHook(absl::string_view events = "") {
    host_.Write("etc/tinc/chitter/host-up", "#!/bin/sh\nfleet-agent tinc-hook up\n");
    if (!events.empty()) host_.Write("run/fleet-tinc/events", events);
  }
  static std::string Event(bool up, absl::string_view node, double since_boot_s = 1001,
                           absl::string_view boot_id = kBootId) {
    return TincHookLine({up, std::string(boot_id), absl::Seconds(since_boot_s), absl::UnixEpoch(),
                         "chitter", "chitter", std::string(node), "198.51.100.9"});
  }

  CheckResult Run() {
    if (check_ == nullptr) {
      check_ = MakeTincCheckWith(runner_.env(), std::make_unique<FakeProber>(script_));
    }
    runner_.clock().Advance(absl::Seconds(10));
    return runner_.Run(*check_);
  }
  CheckResult RunTimes(int times) {
    for (int i = 1; i < times; ++i) Run();
    return Run();
  }
  static std::string ItemOf(const CheckResult& result, absl::string_view name) {
    for (const std::string& item : result.items()) {
      if (absl::StartsWith(item, absl::StrCat(name, " "))) return item;
    }
    return "no such item";
  }

  TempHost host_;
  CheckRunner runner_;
  FakeProber::Script script_;
  std::unique_ptr<Check> check_;
};

TEST_F(TincCheckTest, IsAbsentWithoutANetAndWithOneThatNeverRan) {
  const TempHost empty;
  EXPECT_THAT(CheckRunner(empty.fs()).Run(MakeTincCheck).status,
              HasCode(absl::StatusCode::kNotFound));
  host_.Remove("run/tinc.chitter.pid").Remove("sys/class/net/chitter/flags");
  EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kNotFound));
  host_.Write("etc/tinc/nets.boot", "# nets\nchitter\n");
  EXPECT_EQ(Run().verdict(), Verdict::kCrit);
}

TEST_F(TincCheckTest, ShowsEveryPeerAndWhoIsThere) {
  InstallHook(Event(true, "parasect"));
  const CheckResult result = Run();
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(), ElementsAre(StartsWith("tincd ok tinc 1.0"),
                                          "laptop ok not connected, may come and go",
                                          "parasect ok 3 ms", "presence ok 1 node on the VPN"));
  EXPECT_EQ(result.report.reason, "chitter: 1 peer up");
  EXPECT_THAT(
      result.lines(),
      AllOf(Contains("fleet_tinc_up{net=\"chitter\"} 1"),
            Contains("fleet_tinc_receive_bytes_total{net=\"chitter\"} 738"),
            Contains("fleet_tinc_peer_required{net=\"chitter\",peer=\"laptop\"} 0"),
            Contains("fleet_tinc_peer_reachable{net=\"chitter\",peer=\"laptop\"} 0"),
            Contains("fleet_tinc_peer_reachable{net=\"chitter\",peer=\"parasect\"} 1"),
            Contains("fleet_tinc_peer_rtt_seconds{net=\"chitter\",peer=\"parasect\",size=\"64\"} "
                     "0.003"),
            Contains("fleet_tinc_peer_rtt_seconds{net=\"chitter\",peer=\"parasect\",size=\"mtu\"} "
                     "0.004"),
            Contains("fleet_tinc_peer_mtu_bytes{net=\"chitter\",peer=\"parasect\"} 1400"),
            Contains("fleet_tinc_strangers{net=\"chitter\"} 0")));
  ASSERT_EQ(script_.asked.size(), 2U);
  EXPECT_EQ(script_.asked[1].interface, "chitter");
}

TEST_F(TincCheckTest, SaysWhichLineMakesPresenceVisible) {
  const CheckResult blind = Run();
  EXPECT_THAT(ItemOf(blind, "presence"),
              AllOf(StartsWith("presence unknown:blind"), HasSubstr("install -m 755"),
                    HasSubstr("/etc/tinc/chitter/")));
  EXPECT_EQ(ItemOf(blind, "parasect"), "parasect ok 3 ms");
  runner_.options().tinc.presence = false;
  check_ = nullptr;
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
}

TEST_F(TincCheckTest, IsBlindWhileTheHookIsYoungerThanTincd) {
  host_.Write("proc/stat", "btime 1000000000\n");
  InstallHook(Event(true, "parasect", 5000));
  EXPECT_THAT(ItemOf(Run(), "presence"), HasSubstr("systemctl restart tinc@chitter"));
}

TEST_F(TincCheckTest, NamesAStrangerAndForgetsWhatIsVoid) {
  InstallHook(Event(true, "oldie", 999) + Event(true, "otherboot", 2000, "another") +
              Event(true, "parasect") + Event(true, "laptop") + Event(true, "evil") +
              Event(true, "guest") + Event(false, "guest", 1200));
  const CheckResult result = Run();
  EXPECT_EQ(ItemOf(result, "evil"),
            "evil warn on the VPN from 198.51.100.9, but neither a peer nor allowed");
  EXPECT_EQ(ItemOf(result, "laptop"), "laptop ok on the VPN, does not answer");
  EXPECT_EQ(ItemOf(result, "presence"), "presence ok 3 nodes on the VPN");
  EXPECT_EQ(result.items().size(), 5U);
  EXPECT_EQ(result.value("fleet_tinc_strangers{net=\"chitter\"}"), 1);
}

TEST_F(TincCheckTest, TakesTheConfiguredListLiterally) {
  runner_.options().tinc.peers = {{"parasect", ""}, {"minion", "10.235.0.9"}};
  runner_.options().tinc.allowed = {"phone"};
  InstallHook(Event(true, "laptop") + Event(true, "phone"));
  script_.results["10.235.0.9"] = Echo();
  const CheckResult result = Run();
  EXPECT_THAT(result.items(),
              ElementsAre(StartsWith("tincd ok"), "minion ok 3 ms", "parasect ok 3 ms",
                          "phone ok on the VPN, does not answer", StartsWith("laptop warn"),
                          "presence ok 2 nodes on the VPN"));
}

TEST_F(TincCheckTest, RequiresAServerThatAnsweredOnce) {
  InstallHook(Event(true, "parasect"));
  host_.Write("etc/tinc/chitter/tinc.conf", "Name = tempo\n");
  script_.results["10.235.0.3"] = Unreachable();
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
  script_.results["10.235.0.3"] = Echo();
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
  script_.results["10.235.0.3"] = Unreachable();
  EXPECT_EQ(ItemOf(Run(), "parasect"), "parasect crit unreachable: tincd has no path to it");
}

TEST_F(TincCheckTest, TellsALostPacketFromADeadPeer) {
  InstallHook(Event(true, "parasect"));
  Run();
  script_.results["10.235.0.3"] = Silence();
  EXPECT_EQ(ItemOf(Run(), "parasect"),
            "parasect ok no answer this time, it may be one lost packet");
  EXPECT_EQ(ItemOf(Run(), "parasect"), "parasect warn no answer for 10 s");
  EXPECT_EQ(ItemOf(Run(), "parasect"), "parasect crit no answer for 20 s");
  script_.results["10.235.0.3"] = Echo();
  EXPECT_EQ(ItemOf(RunTimes(20), "parasect"), "parasect ok 3 ms");
}

TEST_F(TincCheckTest, JudgesALossyPathByItsWindow) {
  InstallHook(Event(true, "parasect"));
  const auto lose = [&](int lost, int of) {
    for (int i = 0; i < of; ++i) {
      script_.results["10.235.0.3"] = i % 2 == 0 && i / 2 < lost ? Silence() : Echo();
      if (i + 1 < of) Run();
    }
    return ItemOf(Run(), "parasect");
  };
  EXPECT_EQ(lose(2, 60), "parasect ok 3 ms");
  EXPECT_EQ(lose(3, 60), "parasect warn 5.0 % loss (3 of 60 packets lost)");
  EXPECT_EQ(lose(0, 60), "parasect ok 3 ms");
  EXPECT_EQ(lose(30, 60), "parasect crit 50.0 % loss (30 of 60 packets lost)");
}

TEST_F(TincCheckTest, IsCritAtOnceForAPeerThatNeverAnswered) {
  script_.results["10.235.0.3"] = Silence();
  EXPECT_EQ(ItemOf(Run(), "parasect"), "parasect crit no answer");
}

TEST_F(TincCheckTest, SeesThatBigPacketsDie) {
  InstallHook(Event(true, "parasect"));
  TincProbeResult small_only = Echo();
  small_only.big.reset();
  script_.results["10.235.0.3"] = small_only;
  EXPECT_EQ(RunTimes(2).verdict(), Verdict::kOk);
  const CheckResult result = Run();
  EXPECT_THAT(ItemOf(result, "parasect"),
              StartsWith("parasect warn small packets pass, big ones do not (1400 bytes)"));
  EXPECT_EQ(result.value("fleet_tinc_peer_probes_lost_total{net=\"chitter\",peer=\"parasect\","
                         "size=\"mtu\"}"),
            3);
}

TEST_F(TincCheckTest, WarnsAboutASlowPathByItsMedian) {
  InstallHook(Event(true, "parasect"));
  Run();
  Run();
  script_.results["10.235.0.3"] = Echo(absl::Milliseconds(700));
  EXPECT_EQ(Run().verdict(), Verdict::kOk);
  EXPECT_THAT(ItemOf(RunTimes(2), "parasect"), StartsWith("parasect warn round trip 700 ms"));
}

TEST_F(TincCheckTest, AcceptsAPeerWithoutAnAgent) {
  InstallHook(Event(true, "parasect"));
  TincProbeResult reset;
  reset.tcp = absl::Milliseconds(2);
  reset.big_packet_bytes = 1400;
  script_.results["10.235.0.3"] = reset;
  const CheckResult result = RunTimes(5);
  EXPECT_EQ(ItemOf(result, "parasect"), "parasect ok 2 ms, no agent's echo there");
  EXPECT_EQ(result.value("fleet_tinc_peer_probes_lost_total{net=\"chitter\",peer=\"parasect\","
                         "size=\"64\"}"),
            0);
}

TEST_F(TincCheckTest, BlamesADeadDaemonOnce) {
  InstallHook();
  Run();
  host_.Remove("proc/5724/comm");
  const CheckResult result = Run();
  EXPECT_EQ(ItemOf(result, "tincd"),
            "tincd crit tincd is not running: no process 5724, which /run/tinc.chitter.pid names");
  EXPECT_EQ(ItemOf(result, "parasect"), "parasect crit no path: tincd is down");
  EXPECT_EQ(result.report.items[2].parent, "./tinc/tincd");
  EXPECT_EQ(result.value("fleet_tinc_up{net=\"chitter\"}"), 0);
  host_.Write("proc/5724/comm", "bash\n");
  EXPECT_THAT(ItemOf(Run(), "tincd"), HasSubstr("is \"bash\", not tincd"));
  host_.Write("proc/5724/comm", "tincd\n").Write("sys/class/net/chitter/flags", "0x10d0\n");
  EXPECT_THAT(ItemOf(Run(), "tincd"), HasSubstr("the interface chitter is down"));
}

TEST_F(TincCheckTest, PutsTheNetBeforeItsPeersWhenThereAreSeveral) {
  host_.Write("etc/tinc/lab/tinc.conf", "Name = $HOST\nConnectTo = bench\n")
      .Write("proc/sys/kernel/hostname", "tempo.example\n")
      .Write("etc/tinc/lab/hosts/tempo_example", "Subnet = 10.9.0.1\n")
      .Write("etc/tinc/nets.boot", "lab\n");
  const CheckResult result = Run();
  EXPECT_THAT(result.items(), AllOf(Contains(StartsWith("chitter/parasect ok")),
                                    Contains(StartsWith("lab/tincd crit tincd is not running")),
                                    Contains("lab/bench crit no path: tincd is down")));
  EXPECT_THAT(result.items(), Not(Contains(HasSubstr("tempo_example"))));
}

TEST_F(TincCheckTest, NamesAPeerItCannotProbe) {
  InstallHook(Event(true, "laptop"));
  host_.Write("etc/tinc/chitter/hosts/parasect", "Subnet = 10.235.0.0/24\n");
  // The hook says that parasect is not there.
  EXPECT_EQ(ItemOf(Run(), "parasect"), "parasect crit not on the VPN");
  host_.Remove("etc/tinc/chitter/host-up").Remove("run/fleet-tinc/events");
  EXPECT_THAT(ItemOf(Run(), "parasect"), AllOf(StartsWith("parasect unknown:blind not probed"),
                                               HasSubstr("checks.tinc.peers")));
}

TEST_F(TincCheckTest, SaysWhatIsWrongWithAMalformedFile) {
  host_.Write("etc/tinc/chitter/hosts/laptop", "Subnet = nonsense\n");
  EXPECT_THAT(ItemOf(Run(), "tincd"), HasSubstr("hosts/laptop: line 1"));
  host_.Write("etc/tinc/chitter/tinc.conf", "Name = a-b\n");
  EXPECT_THAT(ItemOf(Run(), "chitter"),
              AllOf(StartsWith("chitter unknown:error"), HasSubstr("tinc.conf: line 1")));
}

TEST_F(TincCheckTest, InfersThePathFromTheMetaConnection) {
  InstallHook(Event(true, "parasect"));
  TcpConnection meta;
  meta.remote = IpAddress::Parse("203.0.113.7")->bytes;
  meta.remote_port = 655;
  script_.meta_before = script_.meta_after = {meta};
  script_.meta_after[0].sent_bytes = 70;  // a PING of tincd's
  const CheckResult direct = Run();
  EXPECT_EQ(ItemOf(direct, "parasect"), "parasect ok direct (inferred), 3 ms");
  EXPECT_EQ(direct.value("fleet_tinc_peer_direct{net=\"chitter\",peer=\"parasect\"}"), 1);
  script_.meta_after[0].received_bytes = 1500;
  EXPECT_EQ(ItemOf(RunTimes(6), "parasect"), "parasect ok relayed over TCP (inferred), 3 ms");
  script_.meta_before.clear();
  EXPECT_EQ(ItemOf(RunTimes(6), "parasect"), "parasect ok 3 ms");
}

TEST_F(TincCheckTest, WatchesTheHookAndTheLinks) {
  Run();
  EXPECT_THAT(check_->watches(),
              ElementsAre(Watch{Watch::Kind::kFileChanged, "/run/fleet-tinc/events", ""},
                          Watch{Watch::Kind::kLinks, "", ""}));
}

TEST_F(TincCheckTest, SendsNothingOnAFixtureHost) {
  const CheckResult result = runner_.Run(MakeTincCheck);
  EXPECT_THAT(ItemOf(result, "parasect"), HasSubstr("this is not the running machine"));
  EXPECT_THAT(script_.asked, IsEmpty());
}

}  // namespace
}  // namespace fleet::agent
