#include <unistd.h>

#include <array>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/checks/checks.h"
#include "agent/kept_file.h"
#include "agent/link_verdicts.h"
#include "agent/links.h"
#include "agent/parse/net_arp.h"
#include "agent/parse/net_udp.h"
#include "agent/parse/netstat.h"
#include "agent/parse/nf_conntrack.h"
#include "agent/parse/sockstat.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricType kG = MetricType::kGauge;
constexpr MetricType kC = MetricType::kCounter;

/// The order is that of the tables below, which say where each value comes from.
constexpr MetricDesc kMetrics[] = {
    {"node_network_receive_bytes_total", kC, "Bytes received by the link.", true},
    {"node_network_receive_packets_total", kC, "Packets received by the link.", true},
    {"node_network_receive_errs_total", kC, "Receive errors of the link.", true},
    {"node_network_receive_drop_total", kC, "Received packets dropped or missed.", true},
    {"node_network_receive_fifo_total", kC, "Receive FIFO errors of the link.", true},
    {"node_network_receive_frame_total", kC,
     "Received packets with a length, overrun, CRC or frame error.", true},
    {"node_network_receive_compressed_total", kC, "Compressed packets received.", true},
    {"node_network_receive_multicast_total", kC, "Multicast packets received.", true},
    {"node_network_transmit_bytes_total", kC, "Bytes sent by the link.", true},
    {"node_network_transmit_packets_total", kC, "Packets sent by the link.", true},
    {"node_network_transmit_errs_total", kC, "Transmit errors of the link.", true},
    {"node_network_transmit_drop_total", kC, "Packets dropped before they were sent.", true},
    {"node_network_transmit_fifo_total", kC, "Transmit FIFO errors of the link.", true},
    {"node_network_transmit_colls_total", kC, "Collisions seen by the link.", true},
    {"node_network_transmit_carrier_total", kC,
     "Packets lost to carrier, abort, window or heartbeat errors.", true},
    {"node_network_transmit_compressed_total", kC, "Compressed packets sent.", true},
    {"node_network_receive_nohandler_total", kC, "Received packets that no protocol wanted.", true},

    {"node_network_address_assign_type", kG,
     "How the address was given: 0 permanent, 1 random, 2 taken over, 3 set.", true},
    {"node_network_carrier", kG, "Whether the link has carrier.", true},
    {"node_network_carrier_changes_total", kC, "Changes of the carrier, both ways.", true},
    {"node_network_carrier_up_changes_total", kC, "Times the carrier came.", true},
    {"node_network_carrier_down_changes_total", kC, "Times the carrier went.", true},
    {"node_network_device_id", kG, "Tells links of one device apart.", true},
    {"node_network_dormant", kG, "Whether the link waits for something before it is up.", true},
    {"node_network_flags", kG, "IFF_ flags of the link, as a number.", true},
    {"node_network_iface_id", kG, "The kernel's index of the link.", true},
    {"node_network_iface_link", kG, "Index of the link below or of the peer.", true},
    {"node_network_iface_link_mode", kG, "0 default, 1 dormant.", true},
    {"node_network_mtu_bytes", kG, "Largest packet of the link.", true},
    {"node_network_name_assign_type", kG,
     "How the name was given: 1 kernel, 2 predictable, 3 user, 4 renamed.", true},
    {"node_network_net_dev_group", kG, "Group the link belongs to.", true},
    {"node_network_transmit_queue_length", kG, "Packets the transmit queue may hold.", true},
    {"node_network_protocol_type", kG, "ARPHRD_ type of the link.", true},

    {"node_network_speed_bytes", kG, "Speed of the link in bytes per second.", true},
    {"node_network_up", kG, "Whether the operational state of the link is up.", true},
    {"node_network_info", kG, "What is not a number about the link; always 1.", true},

    {"node_netstat_*", MetricType::kUntyped, "The kernel's network statistic %s.", true},
    {"node_sockstat_*", kG, "The kernel's socket statistic %s.", true},
    {"node_arp_entries", kG, "Entries of the ARP table by link.", true},
    {"node_udp_queues", kG, "Bytes waiting in UDP sockets.", true},
    {"node_nf_conntrack_entries", kG, "Connections tracked.", true},
    {"node_nf_conntrack_entries_limit", kG, "Connections that can be tracked.", true},

    {"node_nf_conntrack_stat_found", kG, "Lookups that found a connection.", true},
    {"node_nf_conntrack_stat_invalid", kG, "Packets that cannot be tracked.", true},
    {"node_nf_conntrack_stat_ignore", kG, "Packets already tracked.", true},
    {"node_nf_conntrack_stat_insert", kG, "Connections added.", true},
    {"node_nf_conntrack_stat_insert_failed", kG, "Connections that could not be added.", true},
    {"node_nf_conntrack_stat_drop", kG, "Packets dropped because tracking failed.", true},
    {"node_nf_conntrack_stat_early_drop", kG, "Connections forgotten to make room in a full table.",
     true},
    {"node_nf_conntrack_stat_search_restart", kG,
     "Lookups started again because the table was being resized.", true},
};

constexpr uint64_t LinkCounters::*kCounterFields[] = {
    &LinkCounters::receive_bytes,      &LinkCounters::receive_packets,
    &LinkCounters::receive_errs,       &LinkCounters::receive_drop,
    &LinkCounters::receive_fifo,       &LinkCounters::receive_frame,
    &LinkCounters::receive_compressed, &LinkCounters::receive_multicast,
    &LinkCounters::transmit_bytes,     &LinkCounters::transmit_packets,
    &LinkCounters::transmit_errs,      &LinkCounters::transmit_drop,
    &LinkCounters::transmit_fifo,      &LinkCounters::transmit_colls,
    &LinkCounters::transmit_carrier,   &LinkCounters::transmit_compressed,
    &LinkCounters::receive_nohandler,
};
constexpr std::optional<int64_t> Link::*kPropertyFields[] = {
    &Link::address_assign_type,
    &Link::carrier,
    &Link::carrier_changes,
    &Link::carrier_up_changes,
    &Link::carrier_down_changes,
    &Link::device_id,
    &Link::dormant,
    &Link::flags,
    &Link::index,
    &Link::link,
    &Link::link_mode,
    &Link::mtu_bytes,
    &Link::name_assign_type,
    &Link::group,
    &Link::transmit_queue_length,
    &Link::type,
};
constexpr uint64_t ConntrackStat::*kConntrackFields[] = {
    &ConntrackStat::found,      &ConntrackStat::invalid,        &ConntrackStat::ignore,
    &ConntrackStat::insert,     &ConntrackStat::insert_failed,  &ConntrackStat::drop,
    &ConntrackStat::early_drop, &ConntrackStat::search_restart,
};

constexpr const MetricDesc* kCounters = kMetrics;
constexpr const MetricDesc* kProperties = kCounters + std::size(kCounterFields);
constexpr const MetricDesc* kRest = kProperties + std::size(kPropertyFields);
constexpr const MetricDesc& kSpeed = kRest[0];
constexpr const MetricDesc& kUp = kRest[1];
constexpr const MetricDesc& kInfo = kRest[2];
constexpr const MetricDesc& kNetstat = kRest[3];
constexpr const MetricDesc& kSockstat = kRest[4];
constexpr const MetricDesc& kArp = kRest[5];
constexpr const MetricDesc& kUdpQueues = kRest[6];
constexpr const MetricDesc& kConntrackEntries = kRest[7];
constexpr const MetricDesc& kConntrackLimit = kRest[8];
constexpr const MetricDesc* kConntrackStats = kRest + 9;
static_assert(kConntrackStats + std::size(kConntrackFields) == std::end(kMetrics));

double Number(uint64_t value) { return static_cast<double>(value); }

class NetworkCheck final : public Check {
 public:
  explicit NetworkCheck(const CheckEnv& env)
      : fs_(env.fs),
        options_(env.options.network),
        links_(env.fs),
        netstat_{Netstat{KeptFile(env.fs, "proc/net/netstat", KeptFile::Records::kOne), {}},
                 Netstat{KeptFile(env.fs, "proc/net/snmp", KeptFile::Records::kOne), {}},
                 Netstat{KeptFile(env.fs, "proc/net/snmp6", KeptFile::Records::kOne), {}}},
        sockstat_(env.fs, "proc/net/sockstat", KeptFile::Records::kOne),
        sockstat6_(env.fs, "proc/net/sockstat6", KeptFile::Records::kOne),
        udp_(env.fs, "proc/net/udp", KeptFile::Records::kMany),
        udp6_(env.fs, "proc/net/udp6", KeptFile::Records::kMany),
        arp_(env.fs, "proc/net/arp", KeptFile::Records::kMany),
        conntrack_count_(env.fs, "proc/sys/net/netfilter/nf_conntrack_count",
                         KeptFile::Records::kOne),
        conntrack_max_(env.fs, "proc/sys/net/netfilter/nf_conntrack_max", KeptFile::Records::kOne),
        conntrack_(env.fs, "proc/net/stat/nf_conntrack", KeptFile::Records::kMany) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    // Each part on its own: a kernel without one of them, or one that changed, hides no other.
    absl::Status first;
    const auto keep = [&first](absl::Status status) {
      if (absl::IsNotFound(status)) return;
      if (!status.ok() && first.ok()) first = std::move(status);
    };
    keep(CollectLinks(run));
    keep(CollectNetstat(run));
    keep(CollectSockets(run));
    keep(CollectArp(run));
    keep(CollectConntrack(run));
    FLEET_RETURN_IF_ERROR(first);
    if (run.report().samples.size() == 0 && run.report().items.empty()) {
      return absl::NotFoundError("no network in /sys/class/net or /proc/net");
    }
    return absl::OkStatus();
  }

  std::vector<Watch> watches() const override {
    return {{.kind = Watch::Kind::kLinks, .path = {}, .argument = {}}};
  }

 private:
  absl::Status CollectLinks(CheckRun& run) {
    FLEET_ASSIGN_OR_RETURN(const std::vector<Link> links, links_.Read(run.steady_now()));
    for (const Link& link : links) AddLink(link, run);
    JudgeLinks(links, options_.expect_up, run);
    return absl::OkStatus();
  }

  static void AddLink(const Link& link, CheckRun& run) {
    const Label device{"device", link.name};
    // As node_exporter's default filters: no counters of loopback, but its properties.
    if (link.counters && link.name != "lo") {
      for (size_t i = 0; i < std::size(kCounterFields); ++i) {
        run.Add(kCounters[i], {device}, Number((*link.counters).*kCounterFields[i]));
      }
    }
    for (size_t i = 0; i < std::size(kPropertyFields); ++i) {
      const std::optional<int64_t>& value = link.*kPropertyFields[i];
      if (value) run.Add(kProperties[i], {device}, static_cast<double>(*value));
    }
    if (link.speed_megabits) {
      run.Add(kSpeed, {device}, static_cast<double>(*link.speed_megabits) * 1e6 / 8);
    }
    run.Add(kUp, {device}, link.operstate == "up" ? 1 : 0);
    run.Add(kInfo,
            {{"address", link.address},
             {"broadcast", link.broadcast},
             device,
             {"duplex", link.duplex},
             {"ifalias", link.alias},
             {"operstate", link.operstate}},
            1);
  }

  absl::Status CollectNetstat(CheckRun& run) {
    for (Netstat& netstat : netstat_) {
      const absl::StatusOr<absl::string_view> text = netstat.file.Read();
      if (absl::IsNotFound(text.status())) continue;  // no IPv6
      FLEET_RETURN_IF_ERROR(text.status());
      FLEET_ASSIGN_OR_RETURN(const std::vector<NetstatField> fields,
                             absl::EndsWith(netstat.file.path(), "6")
                                 ? ParseSnmp6(*text, netstat.layout)
                                 : ParseNetstat(*text, netstat.layout));
      for (const NetstatField& field : fields) run.AddNamed(kNetstat, field.name, field.value);
    }
    return absl::OkStatus();
  }

  absl::Status CollectSockets(CheckRun& run) {
    static const auto page_bytes = Number(static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
    for (const bool six : {false, true}) {
      const absl::StatusOr<absl::string_view> text = (six ? sockstat6_ : sockstat_).Read();
      if (absl::IsNotFound(text.status())) continue;
      FLEET_RETURN_IF_ERROR(text.status());
      FLEET_ASSIGN_OR_RETURN(const std::vector<SockstatField> fields, ParseSockstat(*text));
      bool udp = false;
      for (const SockstatField& field : fields) {
        const std::string name = absl::StrCat(field.protocol, "_", field.name);
        run.AddNamed(kSockstat, name, Number(field.value));
        if (field.name == "mem") {
          run.AddNamed(kSockstat, absl::StrCat(name, "_bytes"), Number(field.value) * page_bytes);
        }
        udp = udp || (field.value > 0 && field.name == "inuse" &&
                      (field.protocol == "UDP" || field.protocol == "UDP6"));
      }
      FLEET_RETURN_IF_ERROR(CollectUdp(six, udp, run));
    }
    return absl::OkStatus();
  }

  /// The kernel walks its whole hash table of UDP sockets for the file, so it is left alone when
  /// there is no such socket (`any`).
  absl::Status CollectUdp(bool six, bool any, CheckRun& run) {
    KeptFile& file = six ? udp6_ : udp_;
    UdpQueues queues;
    if (any) {
      const absl::StatusOr<absl::string_view> text = file.Read();
      if (absl::IsNotFound(text.status())) return absl::OkStatus();
      FLEET_RETURN_IF_ERROR(text.status());
      FLEET_ASSIGN_OR_RETURN(queues, ParseNetUdp(*text));
    } else {
      // On the running machine a table of sockets that is there once does not go.
      bool& exists = udp_exists_[six ? 1 : 0];
      if (!fs_.live() || !exists) exists = fs_.Exists(file.path());
      if (!exists) return absl::OkStatus();
    }
    const Label ip{"ip", six ? "v6" : "v4"};
    run.Add(kUdpQueues, {ip, {"queue", "rx"}}, Number(queues.receive_bytes));
    run.Add(kUdpQueues, {ip, {"queue", "tx"}}, Number(queues.transmit_bytes));
    return absl::OkStatus();
  }

  absl::Status CollectArp(CheckRun& run) {
    FLEET_ASSIGN_OR_RETURN(const absl::string_view text, arp_.Read());
    FLEET_ASSIGN_OR_RETURN(const auto counts, CountArpEntries(text));
    for (const auto& [device, count] : counts) {
      run.Add(kArp, {{"device", device}}, Number(count));
    }
    return absl::OkStatus();
  }

  absl::Status CollectConntrack(CheckRun& run) {
    uint64_t entries = 0;
    uint64_t limit = 0;
    FLEET_RETURN_IF_ERROR(ReadNumber(conntrack_count_, entries));
    FLEET_RETURN_IF_ERROR(ReadNumber(conntrack_max_, limit));
    run.Add(kConntrackEntries, Number(entries));
    run.Add(kConntrackLimit, Number(limit));

    const double used = limit == 0 ? 0 : Number(entries) / Number(limit);
    const Verdict verdict = used >= options_.conntrack_crit_ratio   ? Verdict::kCrit
                            : used >= options_.conntrack_warn_ratio ? Verdict::kWarn
                                                                    : Verdict::kOk;
    run.AddItem("conntrack", verdict,
                absl::StrCat(HumanPercent(used), " of ", limit, " connections tracked",
                             verdict == Verdict::kOk ? "" : "; new ones fail when it is full"));

    FLEET_ASSIGN_OR_RETURN(const absl::string_view text, conntrack_.Read());
    FLEET_ASSIGN_OR_RETURN(const ConntrackStat stat, ParseConntrackStat(text));
    for (size_t i = 0; i < std::size(kConntrackFields); ++i) {
      run.Add(kConntrackStats[i], Number(stat.*kConntrackFields[i]));
    }
    return absl::OkStatus();
  }

  static absl::Status ReadNumber(KeptFile& file, uint64_t& value) {
    FLEET_ASSIGN_OR_RETURN(const absl::string_view text, file.ReadTrimmed());
    if (absl::SimpleAtoi(text, &value)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("no number in ", file.path()));
  }

  struct Netstat {
    KeptFile file;
    NetstatLayout layout;
  };

  const HostFs fs_;
  const NetworkOptions options_;
  LinkReader links_;
  std::array<Netstat, 3> netstat_;
  KeptFile sockstat_;
  KeptFile sockstat6_;
  KeptFile udp_;
  KeptFile udp6_;
  std::array<bool, 2> udp_exists_{};
  KeptFile arp_;
  KeptFile conntrack_count_;
  KeptFile conntrack_max_;
  KeptFile conntrack_;
};

}  // namespace

std::unique_ptr<Check> MakeNetworkCheck(const CheckEnv& env) {
  return std::make_unique<NetworkCheck>(env);
}

}  // namespace fleet::agent
