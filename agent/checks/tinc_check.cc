#include "agent/checks/tinc_check.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/tinc_control.h"
#include "agent/tinc_meta.h"
#include "agent/tinc_net.h"
#include "agent/tinc_peer.h"
#include "agent/tinc_presence.h"
#include "agent/tinc_roster.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr MetricDesc kMetrics[] = {
    {"fleet_tinc_up", MetricType::kGauge, "Whether the net's tincd runs and its interface is up."},
    {"fleet_tinc_info", MetricType::kGauge,
     "The net's interface, our node's name and tinc's version (1.0 or 1.1); always 1."},
    {"fleet_tinc_start_time_seconds", MetricType::kGauge,
     "When the net's tincd started, in seconds since 1970."},
    {"fleet_tinc_receive_bytes_total", MetricType::kCounter,
     "Bytes that came out of the tunnel, by the interface's counters."},
    {"fleet_tinc_transmit_bytes_total", MetricType::kCounter,
     "Bytes that went into the tunnel, by the interface's counters."},
    {"fleet_tinc_receive_packets_total", MetricType::kCounter,
     "Packets that came out of the tunnel, by the interface's counters."},
    {"fleet_tinc_transmit_packets_total", MetricType::kCounter,
     "Packets that went into the tunnel, by the interface's counters."},
    {"fleet_tinc_peer_required", MetricType::kGauge,
     "Whether the peer must be up (1) or may come and go (0)."},
    {"fleet_tinc_peer_reachable", MetricType::kGauge,
     "Whether the latest probe of the peer through the tunnel was answered."},
    {"fleet_tinc_peer_direct", MetricType::kGauge,
     "Whether packets to the peer go straight by UDP (1) or are relayed (0), where known."},
    {"fleet_tinc_peer_echo", MetricType::kGauge,
     "Whether the peer's agent answers echoes; 0 means reachability by TCP or ICMP only."},
    {"fleet_tinc_peer_present", MetricType::kGauge,
     "Whether the node is on the VPN, as tincd says; only where all of them are known."},
    {"fleet_tinc_peer_rtt_seconds", MetricType::kGauge,
     "Round trip of the latest probe, by size: 64 bytes, or the path's MTU."},
    {"fleet_tinc_peer_probes_total", MetricType::kCounter,
     "Probes sent to the peer since the agent started, by size."},
    {"fleet_tinc_peer_probes_lost_total", MetricType::kCounter,
     "Probes of the peer that were not answered since the agent started, by size."},
    {"fleet_tinc_peer_mtu_bytes", MetricType::kGauge,
     "Size of the big probe's packet: the MTU of the path to the peer, as the kernel knows it."},
    {"fleet_tinc_peer_receive_bytes_total", MetricType::kCounter,
     "Bytes received from the peer, as tincd 1.1 counts them."},
    {"fleet_tinc_peer_transmit_bytes_total", MetricType::kCounter,
     "Bytes sent to the peer, as tincd 1.1 counts them."},
    {"fleet_tinc_strangers", MetricType::kGauge,
     "Nodes on the VPN that are neither peers nor allowed; only where all nodes are known."},
};
enum Metric {
  kUp,
  kInfo,
  kStartTime,
  kReceiveBytes,
  kTransmitBytes,
  kReceivePackets,
  kTransmitPackets,
  kPeerRequired,
  kPeerReachable,
  kPeerDirect,
  kPeerEcho,
  kPeerPresent,
  kPeerRtt,
  kPeerProbes,
  kPeerProbesLost,
  kPeerMtu,
  kPeerReceiveBytes,
  kPeerTransmitBytes,
  kStrangers,
};
static_assert(std::size(kMetrics) == kStrangers + 1);

/// Runs between two looks at the meta connections: a dump of the kernel's sockets is not free, and
/// a path that changes is rare.
constexpr uint64_t kInferEvery = 6;

constexpr char kDaemonItem[] = "tincd";
constexpr char kPresenceItem[] = "presence";
constexpr size_t kStrangersNamedMax = 50;
constexpr absl::Duration kControlTimeout = absl::Seconds(1);
/// What must remain of the deadline after the last wait.
constexpr absl::Duration kReserve = absl::Milliseconds(200);

/// What one run learns about one net, before anything is judged.
struct NetView {
  TincNet net;
  TincDaemon daemon;
  std::string daemon_problem;  // empty: up
  bool version_1_1 = false;
  std::optional<TincDump> dump;  // tinc 1.1
  std::string dump_problem;
  TincPresence presence;
  std::map<std::string, bool> peers;  // by name: must it be up?
  std::map<std::string, size_t> target_of;
  std::string prefix;  // of item names: "net/" where there are several

  const TincNode* node(absl::string_view name) const {
    if (!dump) return nullptr;
    const auto found = std::find_if(dump->nodes.begin(), dump->nodes.end(),
                                    [&](const TincNode& n) { return n.name == name; });
    return found == dump->nodes.end() ? nullptr : &*found;
  }
  bool presence_known() const { return dump.has_value() || presence.complete; }
  std::set<std::string> present() const {
    std::set<std::string> names;
    if (!dump) names = presence.nodes;
    for (const TincNode& n : dump ? dump->nodes : std::vector<TincNode>{}) {
      if (n.reachable()) names.insert(n.name);
    }
    names.erase(net.name);
    return names;
  }
};

std::string RightsLine(absl::string_view net) {
  const std::string user = OurUserName();
  return absl::StrCat("setfacl -m u:", user, ":rx /etc/tinc/", net, " /etc/tinc/", net,
                      "/hosts && setfacl -m u:", user, ":r /etc/tinc/", net,
                      "/tinc.conf /etc/tinc/", net, "/hosts/*");
}

class TincCheck final : public Check {
 public:
  TincCheck(const CheckEnv& env, std::unique_ptr<TincProber> prober)
      : fs_(env.fs), options_(env.options.tinc), prober_(std::move(prober)) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  std::vector<Watch> watches() const override {
    return {{Watch::Kind::kFileChanged, TincHookStatePath(options_), ""},
            {Watch::Kind::kLinks, "", ""}};
  }

  absl::Status Collect(CheckRun& run) override {
    const auto listed = fs_.List("etc/tinc");
    if (absl::IsPermissionDenied(listed.status())) {
      return absl::PermissionDeniedError(
          absl::StrCat(listed.status().message(), "; run: chmod a+rx /etc/tinc"));
    }
    std::vector<NetView> views;
    const std::vector<std::string> names =
        TincNetNames(fs_, options_, listed.value_or(std::vector<std::string>()));
    bool broken = false;
    for (const std::string& name : names) {
      auto view = View(name, run);
      if (view.ok()) {
        views.push_back(*std::move(view));
      } else if (!absl::IsNotFound(view.status())) {
        broken = true;
        AddUnreadable(name, view.status(), run);
      }
    }
    if (views.empty() && !broken) {
      return absl::NotFoundError(names.empty() ? "no net in /etc/tinc"
                                               : "no net of /etc/tinc is in use");
    }
    for (NetView& view : views) {
      if (names.size() > 1) view.prefix = absl::StrCat(view.net.net, "/");
    }
    Probe(views, run);
    for (const NetView& view : views) Judge(view, run);
    Summarise(views, run);
    return absl::OkStatus();
  }

 private:
  static void AddUnreadable(const std::string& name, const absl::Status& status, CheckRun& run) {
    if (absl::IsPermissionDenied(status)) {
      run.AddUnknownItem(name, UnknownKind::kBlind,
                         absl::StrCat(status.message(), "; run: ", RightsLine(name)));
    } else {
      run.AddUnknownItem(name, UnknownKind::kError, status.message());
    }
  }

  /// Errors: kNotFound when nobody ever wanted this net to run here.
  absl::StatusOr<NetView> View(const std::string& name, CheckRun& run) {
    NetView view;
    FLEET_ASSIGN_OR_RETURN(view.net, ReadTincNet(fs_, name));
    view.daemon = ReadTincDaemon(fs_, name);
    view.daemon_problem = DaemonProblem(view);
    const std::string seen = absl::StrCat("seen/", name);
    if (view.daemon_problem.empty()) {
      run.memory().Set(seen, "1");
    } else if (options_.net.empty() && run.memory().Find(seen) == nullptr &&
               view.daemon.state == TincDaemon::State::kDead && !IsTincNetEnabled(fs_, name)) {
      return absl::NotFoundError("never ran here");
    }
    const std::string socket = absl::StrCat("run/tinc.", name, ".socket");
    view.version_1_1 = !view.daemon.pid.cookie.empty() || fs_.Exists(socket);
    if (view.version_1_1 && view.daemon_problem.empty()) Dump(socket, run, view);
    view.presence = ReadTincPresence(fs_, options_, view.net, view.daemon);
    view.peers = ChooseTincPeers(
        view.net, options_, TincNetNames(fs_, options_).size() == 1,
        [&](const std::string& peer) { return run.memory().Find(UpKey(name, peer)) != nullptr; });
    return view;
  }

  /// Why the net does not carry traffic; empty when it does.
  std::string DaemonProblem(const NetView& view) const {
    if (view.daemon.state == TincDaemon::State::kDead) {
      return absl::StrCat("tincd is not running: ", view.daemon.problem);
    }
    const std::string interface = absl::StrCat("sys/class/net/", view.net.interface);
    if (!fs_.Exists(interface)) {
      return absl::StrCat("the interface ", view.net.interface, " is gone",
                          view.daemon.state == TincDaemon::State::kHidden
                              ? " (a tun goes with its tincd)"
                              : ", though tincd runs");
    }
    const auto flags = fs_.ReadTrimmed(absl::StrCat(interface, "/flags"));
    uint32_t bits = 0;
    if (flags.ok() && absl::SimpleHexAtoi(*flags, &bits) && (bits & 1) == 0) {
      return absl::StrCat("the interface ", view.net.interface, " is down; look at /etc/tinc/",
                          view.net.net, "/tinc-up");
    }
    return "";
  }

  void Dump(const std::string& socket, CheckRun& run, NetView& view) {
    const std::string user = OurUserName();
    if (view.daemon.pid.cookie.empty()) {
      view.dump_problem = absl::StrCat(
          "tinc 1.1 tells only who may read its cookie; run: setfacl -m u:", user, ":r /run/tinc.",
          view.net.net, ".pid && setfacl -m u:", user, ":rw /", socket,
          " (as ExecStartPost of tinc@", view.net.net, ", and see docs/operating.md first)");
      return;
    }
    auto dump = controls_[view.net.net].Dump(
        fs_.Path(socket), view.daemon.pid,
        std::min(kControlTimeout, std::max(run.TimeLeft() - kReserve, absl::ZeroDuration())));
    if (dump.ok()) {
      view.dump = *std::move(dump);
    } else if (absl::IsPermissionDenied(dump.status())) {
      view.dump_problem =
          absl::StrCat(dump.status().message(), "; run: setfacl -m u:", user, ":rw /", socket);
    } else {
      view.dump_problem = std::string(dump.status().message());
    }
  }

  static std::string UpKey(absl::string_view net, absl::string_view peer) {
    return absl::StrCat("up/", net, "/", peer);
  }

  /// Sends one small and one big packet to every peer of every net, all at once.
  void Probe(std::vector<NetView>& views, CheckRun& run) {
    std::vector<TincProbeTarget> targets;
    std::vector<std::string> keys;
    std::vector<TincMetaPeer> metas;  // of tinc 1.0, which does not tell how packets travel
    for (NetView& view : views) {
      if (!view.daemon_problem.empty() || prober_ == nullptr) continue;
      // In a bridge the addresses belong to the bridge, and packets cannot leave by its port alone.
      const bool bridged =
          fs_.Exists(absl::StrCat("sys/class/net/", view.net.interface, "/master"));
      for (const auto& [peer, required] : view.peers) {
        const auto address =
            TincPeerAddress(view.net, options_, view.dump ? &*view.dump : nullptr, peer);
        if (!address) continue;
        view.target_of[peer] = targets.size();
        targets.push_back({*address, bridged ? "" : view.net.interface, options_.echo_port});
        keys.push_back(UpKey(view.net.net, peer));
        if (!view.version_1_1) {
          metas.push_back({targets.size() - 1, TincMetaAddresses(view.net, view.presence, peer),
                           TincMetaPorts(view.net, peer)});
        }
      }
    }
    if (targets.empty()) return;
    const bool infer = runs_++ % kInferEvery == 0 && !metas.empty();
    const auto before = infer ? SnapTincMeta(*prober_, metas) : std::vector<TcpConnection>{};
    const std::vector<TincProbeResult> results =
        prober_->Probe(targets, std::max(run.TimeLeft() - kReserve, absl::ZeroDuration()));
    if (infer) {
      const auto after = SnapTincMeta(*prober_, metas);
      for (const TincMetaPeer& meta : metas) {
        inferred_[keys[meta.target]] = InferTincPath(before, after, meta, results[meta.target]);
      }
    }
    for (size_t i = 0; i < results.size(); ++i) {
      histories_[keys[i]].Add(results[i], run.steady_now());
      if (results[i].reachable()) run.memory().Set(keys[i], "1");
    }
  }

  void Judge(const NetView& view, CheckRun& run) {
    const Label net{"net", view.net.net};
    const bool up = view.daemon_problem.empty();
    std::string about = absl::StrCat("tinc ", view.version_1_1 ? "1.1" : "1.0");
    if (view.daemon.start_time && up) {
      absl::StrAppend(&about, ", up ", HumanDuration(run.now() - *view.daemon.start_time));
    }
    if (!view.net.problems.empty()) {
      absl::StrAppend(&about, "; ", absl::StrJoin(view.net.problems, "; "));
    }
    run.AddItem(absl::StrCat(view.prefix, kDaemonItem), up ? Verdict::kOk : Verdict::kCrit,
                up ? about : view.daemon_problem);
    run.Add(kMetrics[kUp], {net}, up ? 1 : 0);
    run.Add(kMetrics[kInfo],
            {net,
             {"interface", view.net.interface},
             {"node", view.net.name},
             {"version", view.version_1_1 ? "1.1" : "1.0"}},
            1);
    if (view.daemon.start_time && up) {
      run.Add(kMetrics[kStartTime], {net},
              absl::ToDoubleSeconds(*view.daemon.start_time - absl::UnixEpoch()));
    }
    AddTraffic(view, run);
    const std::set<std::string> present = view.present();
    for (const auto& [peer, required] : view.peers) JudgePeer(view, peer, required, present, run);
    if (up) JudgePresence(view, present, run);
  }

  void AddTraffic(const NetView& view, CheckRun& run) const {
    constexpr std::pair<Metric, absl::string_view> kCounters[] = {
        {kReceiveBytes, "rx_bytes"},
        {kTransmitBytes, "tx_bytes"},
        {kReceivePackets, "rx_packets"},
        {kTransmitPackets, "tx_packets"},
    };
    for (const auto& [metric, file] : kCounters) {
      const auto text =
          fs_.ReadTrimmed(absl::StrCat("sys/class/net/", view.net.interface, "/statistics/", file));
      uint64_t value = 0;
      if (text.ok() && absl::SimpleAtoi(*text, &value)) {
        run.Add(kMetrics[metric], {{"net", view.net.net}}, static_cast<double>(value));
      }
    }
  }

  void JudgePeer(const NetView& view, const std::string& peer, bool required,
                 const std::set<std::string>& present, CheckRun& run) {
    TincPeerView peer_view;
    peer_view.required = required;
    peer_view.daemon_up = view.daemon_problem.empty();
    if (view.presence_known()) peer_view.present = present.contains(peer);
    if (const TincNode* node = view.node(peer)) {
      peer_view.path = node->path();
    } else if (const auto path = inferred_.find(UpKey(view.net.net, peer));
               path != inferred_.end()) {
      peer_view.path = path->second;
      peer_view.path_inferred = true;
    }
    const auto target = view.target_of.find(peer);
    if (target != view.target_of.end()) {
      peer_view.probed = true;
      peer_view.history = &histories_[UpKey(view.net.net, peer)];
    } else if (prober_ == nullptr) {
      peer_view.why_not_probed = "this is not the running machine";
    } else {
      peer_view.why_not_probed =
          absl::StrCat("its VPN address is not known: name it in checks.tinc.peers, or give hosts/",
                       peer, " a Subnet of one address");
    }
    const TincPeerVerdict verdict = JudgeTincPeer(peer_view, options_, run.steady_now());
    Item& item = run.AddItem(absl::StrCat(view.prefix, peer), verdict.verdict, verdict.reason);
    item.unknown = verdict.unknown;
    if (!peer_view.daemon_up) item.parent = absl::StrCat("./tinc/", view.prefix, kDaemonItem);
    AddPeerSamples(view, peer, peer_view, run);
  }

  void AddPeerSamples(const NetView& view, const std::string& peer, const TincPeerView& peer_view,
                      CheckRun& run) const {
    const Label net{"net", view.net.net};
    const Label name{"peer", peer};
    run.Add(kMetrics[kPeerRequired], {net, name}, peer_view.required ? 1 : 0);
    if (peer_view.present) run.Add(kMetrics[kPeerPresent], {net, name}, *peer_view.present);
    if (peer_view.path == TincPath::kDirect || peer_view.path == TincPath::kTcp ||
        peer_view.path == TincPath::kRelayed) {
      run.Add(kMetrics[kPeerDirect], {net, name}, peer_view.path == TincPath::kDirect ? 1 : 0);
    }
    const TincNode* node = view.node(peer);
    if (node != nullptr && node->traffic) {
      run.Add(kMetrics[kPeerReceiveBytes], {net, name},
              static_cast<double>(node->traffic->received_bytes));
      run.Add(kMetrics[kPeerTransmitBytes], {net, name},
              static_cast<double>(node->traffic->sent_bytes));
    }
    if (!peer_view.probed) {
      if (!peer_view.daemon_up) run.Add(kMetrics[kPeerReachable], {net, name}, 0);
      return;
    }
    const TincPeerHistory& history = *peer_view.history;
    const TincProbeResult& last = history.last();
    run.Add(kMetrics[kPeerReachable], {net, name}, last.reachable() ? 1 : 0);
    run.Add(kMetrics[kPeerEcho], {net, name}, history.has_echo() ? 1 : 0);
    const Label small{"size", "64"};
    const Label big{"size", "mtu"};
    if (const auto rtt = last.small ? last.small : last.tcp) {
      run.Add(kMetrics[kPeerRtt], {net, name, small}, absl::ToDoubleSeconds(*rtt));
    }
    if (last.big) run.Add(kMetrics[kPeerRtt], {net, name, big}, absl::ToDoubleSeconds(*last.big));
    for (const auto& [size, counters] :
         {std::pair(small, history.small()), std::pair(big, history.big())}) {
      run.Add(kMetrics[kPeerProbes], {net, name, size}, static_cast<double>(counters.sent));
      run.Add(kMetrics[kPeerProbesLost], {net, name, size}, static_cast<double>(counters.lost));
    }
    if (last.big_packet_bytes > 0) {
      run.Add(kMetrics[kPeerMtu], {net, name}, last.big_packet_bytes);
    }
  }

  /// Names who should not be there, and says so when nobody can tell.
  void JudgePresence(const NetView& view, const std::set<std::string>& present,
                     CheckRun& run) const {
    size_t strangers = 0;
    for (const std::string& name : present) {
      if (view.peers.contains(name)) continue;
      if (++strangers > kStrangersNamedMax) continue;
      const auto address = view.presence.addresses.find(name);
      run.AddItem(absl::StrCat(view.prefix, name), Verdict::kWarn,
                  absl::StrCat("on the VPN",
                               address == view.presence.addresses.end()
                                   ? ""
                                   : absl::StrCat(" from ", address->second),
                               ", but neither a peer nor allowed"));
      if (view.presence_known()) {
        run.Add(kMetrics[kPeerPresent], {{"net", view.net.net}, {"peer", name}}, 1);
      }
    }
    const std::string item = absl::StrCat(view.prefix, kPresenceItem);
    if (view.presence_known()) {
      run.Add(kMetrics[kStrangers], {{"net", view.net.net}}, static_cast<double>(strangers));
      if (!options_.presence) return;
      const bool unnamed = strangers > kStrangersNamedMax;
      run.AddItem(item, unnamed ? Verdict::kWarn : Verdict::kOk,
                  absl::StrCat(present.size(), present.size() == 1 ? " node" : " nodes",
                               " on the VPN", unnamed ? ", " : "",
                               unnamed ? absl::StrCat(strangers, " of them strangers") : ""));
    } else if (options_.presence) {
      run.AddUnknownItem(item, UnknownKind::kBlind,
                         view.version_1_1 && !view.dump_problem.empty() ? view.dump_problem
                                                                        : view.presence.why_blind);
    }
  }

  /// One line for when all is well; the worst item speaks otherwise.
  static void Summarise(const std::vector<NetView>& views, CheckRun& run) {
    for (const Item& item : run.report().items) {
      if (item.verdict != Verdict::kOk) return;
    }
    std::vector<std::string> parts;
    for (const NetView& view : views) {
      const auto required = std::count_if(view.peers.begin(), view.peers.end(),
                                          [](const auto& peer) { return peer.second; });
      parts.push_back(required == 0 ? absl::StrCat(view.net.net, " is up")
                                    : absl::StrCat(view.net.net, ": ", required,
                                                   required == 1 ? " peer" : " peers", " up"));
    }
    run.SetReason(absl::StrJoin(parts, "; "));
  }

  const HostFs fs_;
  const TincOptions options_;
  const std::unique_ptr<TincProber> prober_;  // null on a fixture host
  std::map<std::string, TincControl> controls_;
  std::map<std::string, TincPeerHistory> histories_;
  std::map<std::string, TincPath> inferred_;
  uint64_t runs_ = 0;
};

}  // namespace

std::unique_ptr<Check> MakeTincCheckWith(const CheckEnv& env, std::unique_ptr<TincProber> prober) {
  return std::make_unique<TincCheck>(env, std::move(prober));
}

std::unique_ptr<Check> MakeTincCheck(const CheckEnv& env) {
  return MakeTincCheckWith(env, env.fs.live() ? MakeTincProber() : nullptr);
}

}  // namespace fleet::agent
