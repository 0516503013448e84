#include "agent/checks/checks.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::CheckResult;
using ::fleet::test::CheckRunner;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempHost;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

void WriteLink(TempHost& host, const std::string& name, int index, bool physical = true) {
  const std::string dir = absl::StrCat("sys/class/net/", name, "/");
  for (const auto& [file, text] : std::initializer_list<std::pair<const char*, std::string>>{
           {"ifindex", absl::StrCat(index)},
           {"iflink", absl::StrCat(index)},
           {"operstate", "up"},
           {"address", "02:fc:00:00:00:01"},
           {"broadcast", "ff:ff:ff:ff:ff:ff"},
           {"ifalias", ""},
           {"carrier", "1"},
           {"flags", "0x1003"},
           {"mtu", "1500"},
           {"speed", "1000"},
           {"duplex", "full"},
           {"statistics/rx_nohandler", "3"}}) {
    host.Write(absl::StrCat(dir, file), text + "\n");
  }
  if (physical) host.Remove(dir + "device").Link(dir + "device", ".");
}

void LoseCarrier(TempHost& host, const std::string& name) {
  host.Write(absl::StrCat("sys/class/net/", name, "/carrier"), "0\n");
  host.Write(absl::StrCat("sys/class/net/", name, "/operstate"), "down\n");
}

TEST(NetworkCheckTest, EmitsWhatNodeExporterDoes) {
  TempHost host;
  WriteLink(host, "eth0", 2);
  host.Write("sys/class/net/bonding_masters", "\n");
  host.Write("proc/net/dev", "head | head\n eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
  host.Write("proc/net/snmp", "Tcp: RtoMin CurrEstab\nTcp: 200 4\n");
  host.Write("proc/net/snmp6", "Ip6InOctets \t128\n");
  host.Write("proc/net/sockstat", "sockets: used 24\nUDP: inuse 1 mem 2\n");
  host.Write("proc/net/udp", "head\n1: 0:44 0:0 07 00000001:000000FF 00 0 0\n");
  host.Write("proc/net/arp", "head\n192.0.2.1 0x1 0x2 02:fc:00:00:00:05 * eth0\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeNetworkCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(
      result.lines(),
      ElementsAre(
          "node_network_receive_bytes_total{device=\"eth0\"} 1",
          "node_network_receive_packets_total{device=\"eth0\"} 2",
          "node_network_receive_errs_total{device=\"eth0\"} 3",
          "node_network_receive_drop_total{device=\"eth0\"} 4",
          "node_network_receive_fifo_total{device=\"eth0\"} 5",
          "node_network_receive_frame_total{device=\"eth0\"} 6",
          "node_network_receive_compressed_total{device=\"eth0\"} 7",
          "node_network_receive_multicast_total{device=\"eth0\"} 8",
          "node_network_transmit_bytes_total{device=\"eth0\"} 9",
          "node_network_transmit_packets_total{device=\"eth0\"} 10",
          "node_network_transmit_errs_total{device=\"eth0\"} 11",
          "node_network_transmit_drop_total{device=\"eth0\"} 12",
          "node_network_transmit_fifo_total{device=\"eth0\"} 13",
          "node_network_transmit_colls_total{device=\"eth0\"} 14",
          "node_network_transmit_carrier_total{device=\"eth0\"} 15",
          "node_network_transmit_compressed_total{device=\"eth0\"} 16",
          "node_network_receive_nohandler_total{device=\"eth0\"} 3",
          "node_network_carrier{device=\"eth0\"} 1", "node_network_flags{device=\"eth0\"} 4099",
          "node_network_iface_id{device=\"eth0\"} 2", "node_network_iface_link{device=\"eth0\"} 2",
          "node_network_mtu_bytes{device=\"eth0\"} 1500",
          "node_network_speed_bytes{device=\"eth0\"} 1.25e+08",
          "node_network_up{device=\"eth0\"} 1",
          "node_network_info{address=\"02:fc:00:00:00:01\",broadcast=\"ff:ff:ff:ff:ff:ff\","
          "device=\"eth0\",duplex=\"full\",ifalias=\"\",operstate=\"up\"} 1",
          "node_netstat_Tcp_CurrEstab 4", "node_netstat_Ip6_InOctets 128",
          "node_sockstat_sockets_used 24", "node_sockstat_UDP_inuse 1", "node_sockstat_UDP_mem 2",
          "node_sockstat_UDP_mem_bytes 8192", "node_udp_queues{ip=\"v4\",queue=\"rx\"} 255",
          "node_udp_queues{ip=\"v4\",queue=\"tx\"} 1", "node_arp_entries{device=\"eth0\"} 1"));
  EXPECT_THAT(result.items(), ElementsAre("eth0 ok up, 1 Gbit/s"));
  EXPECT_EQ(result.report.reason, "eth0 up, 1 Gbit/s");
}

TEST(NetworkCheckTest, LeavesTheUdpTableAloneWithoutASocket) {
  TempHost host;
  host.Write("proc/net/sockstat6", "UDP6: inuse 0\n");
  host.Write("proc/net/udp6", "this would be an error\nthis too\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeNetworkCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_EQ(result.value("node_udp_queues{ip=\"v6\",queue=\"rx\"}"), 0);
}

TEST(NetworkCheckTest, KeepsWhatItReadBeforeAndAfterAnError) {
  TempHost host;
  WriteLink(host, "eth0", 2);
  host.Write("proc/net/snmp", "garbage\n");
  host.Write("proc/net/arp", "head\n192.0.2.1 0x1 0x2 02:fc:00:00:00:05 * eth0\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeNetworkCheck);
  EXPECT_THAT(result.status, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(result.lines(), Contains("node_network_up{device=\"eth0\"} 1"));
  EXPECT_THAT(result.lines(), Contains("node_arp_entries{device=\"eth0\"} 1"));
}

TEST(NetworkCheckTest, IsAbsentWithoutAnyNetwork) {
  const TempHost host;
  EXPECT_THAT(CheckRunner(host.fs()).Run(MakeNetworkCheck).status,
              HasCode(absl::StatusCode::kNotFound));
}

TEST(NetworkCheckTest, WantsTheLinksThatMustBeUp) {
  TempHost host;
  WriteLink(host, "eth0", 2);
  WriteLink(host, "chitter", 3, /*physical=*/false);
  host.Write("sys/class/net/chitter/operstate", "unknown\n");
  CheckRunner runner(host.fs());
  runner.options().network.expect_up = {"chitter", "eth1"};
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(),
              ElementsAre("chitter ok up, 1 Gbit/s", "eth1 crit no such link, but must be up",
                          "eth0 ok up, 1 Gbit/s"));
  host.Write("sys/class/net/chitter/flags", "0x1002\n").Remove("sys/class/net/chitter/carrier");
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(),
              Contains("chitter crit set down, but must be up"));
}

TEST(NetworkCheckTest, NamesTheLinkThatLostItsCarrier) {
  TempHost host;
  WriteLink(host, "eth0", 2);
  WriteLink(host, "veth0", 3, /*physical=*/false);
  CheckRunner runner(host.fs());
  runner.Run(MakeNetworkCheck);
  runner.clock().Advance(absl::Minutes(11));
  LoseCarrier(host, "eth0");
  LoseCarrier(host, "veth0");
  runner.Run(MakeNetworkCheck);
  runner.clock().Advance(absl::Minutes(3));
  const CheckResult lost = runner.Run(MakeNetworkCheck);
  EXPECT_THAT(lost.items(), ElementsAre("eth0 warn lost its carrier 3 min ago"));

  WriteLink(host, "eth0", 2);
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(), ElementsAre("eth0 ok up, 1 Gbit/s"));
  // It was steady before: losing it again soon is news too.
  LoseCarrier(host, "eth0");
  EXPECT_EQ(runner.Run(MakeNetworkCheck).verdict(), Verdict::kWarn);
  host.Remove("sys/class/net/eth0");
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(),
              ElementsAre(HasSubstr("eth0 warn the link disappeared")));
  runner.clock().Advance(absl::Hours(24 * 8));
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(), IsEmpty());
  EXPECT_THAT(runner.memory().entries(), IsEmpty());
}

TEST(NetworkCheckTest, IsCalmAboutLinksThatWereNeverSteadyOrAreSetDown) {
  TempHost host;
  WriteLink(host, "eth0", 2);
  WriteLink(host, "eth1", 3);
  LoseCarrier(host, "eth1");
  CheckRunner runner(host.fs());
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(),
              ElementsAre("eth0 ok up, 1 Gbit/s", "eth1 ok no carrier"));
  runner.clock().Advance(absl::Minutes(9));
  LoseCarrier(host, "eth0");
  EXPECT_EQ(runner.Run(MakeNetworkCheck).verdict(), Verdict::kOk);

  WriteLink(host, "eth0", 2);
  runner.Run(MakeNetworkCheck);
  runner.clock().Advance(absl::Minutes(11));
  host.Write("sys/class/net/eth0/flags", "0x1002\n").Remove("sys/class/net/eth0/carrier");
  EXPECT_THAT(runner.Run(MakeNetworkCheck).items(), Contains("eth0 ok set down"));
}

TEST(NetworkCheckTest, WatchesTheConnectionTrackingTable) {
  TempHost host;
  host.Write("proc/sys/net/netfilter/nf_conntrack_max", "1000\n");
  host.Write("proc/net/stat/nf_conntrack", "entries found drop\n0 2 1\n0 1 1\n");
  CheckRunner runner(host.fs());
  for (const auto& [entries, verdict] : std::initializer_list<std::pair<const char*, Verdict>>{
           {"799\n", Verdict::kOk}, {"800\n", Verdict::kWarn}, {"950\n", Verdict::kCrit}}) {
    host.Write("proc/sys/net/netfilter/nf_conntrack_count", entries);
    const CheckResult result = runner.Run(MakeNetworkCheck);
    ASSERT_THAT(result.status, IsOk());
    EXPECT_EQ(result.verdict(), verdict) << entries;
    EXPECT_EQ(result.value("node_nf_conntrack_stat_found"), 3);
    EXPECT_EQ(result.value("node_nf_conntrack_entries_limit"), 1000);
  }
  EXPECT_THAT(
      runner.Run(MakeNetworkCheck).items(),
      ElementsAre("conntrack crit 95.0 % of 1000 connections tracked; new ones fail when it "
                  "is full"));
}

TEST(NetworkCheckTest, HasNoCountersOfLoopback) {
  TempHost host;
  WriteLink(host, "lo", 1, /*physical=*/false);
  host.Write("proc/net/dev", "  lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n");
  const CheckResult result = CheckRunner(host.fs()).Run(MakeNetworkCheck);
  EXPECT_THAT(result.lines(), Not(Contains(HasSubstr("receive"))));
  EXPECT_THAT(result.lines(), Contains("node_network_up{device=\"lo\"} 1"));
  EXPECT_THAT(result.items(), IsEmpty());
}

}  // namespace
}  // namespace fleet::agent
