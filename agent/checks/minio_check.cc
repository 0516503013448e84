#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/checks/checks.h"
#include "agent/minio/canary.h"
#include "agent/minio/discover.h"
#include "agent/minio/health.h"
#include "agent/minio/metrics.h"
#include "common/labels.h"
#include "common/secret.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kLiveTimeout = absl::Seconds(3);
/// Minio itself gives up after 10 s (MINIO_API_CLUSTER_DEADLINE).
constexpr absl::Duration kClusterTimeout = absl::Seconds(12);
constexpr absl::Duration kMetricsTimeout = absl::Seconds(8);
/// Left of the deadline for what is done with the replies.
constexpr absl::Duration kMargin = absl::Milliseconds(300);
constexpr size_t kHealthBytesMax = 64 << 10;
constexpr size_t kMetricsBytesMax = 8 << 20;
/// How often a host without minio is asked whether it has one now.
constexpr absl::Duration kLookAgain = absl::Minutes(1);
constexpr size_t kSeriesMax = 2000;  // of one server
constexpr char kFoundKey[] = "found";

constexpr MetricDesc kMetrics[] = {
    {"minio_*", MetricType::kUntyped, "Minio's own %s.", true},
    {"fleet_minio_health", MetricType::kGauge,
     "Whether the health probe (live, cluster, cluster_read) says that all is well."},
    {"fleet_minio_health_duration_seconds", MetricType::kGauge,
     "Time the server took to answer the health probe."},
    {"fleet_minio_quorum_drives", MetricType::kGauge,
     "Drives needed to write or to read, as the server says."},
    {"fleet_minio_healing_drives", MetricType::kGauge, "Drives that are being healed."},
    {"fleet_minio_metrics_dropped_series", MetricType::kGauge,
     "Series of the server's own metrics left out because there were too many."},
    {"fleet_minio_canary_seconds", MetricType::kGauge,
     "Time the operation on the canary object took, in the newest round."},
    {"fleet_minio_canary_success", MetricType::kGauge,
     "Whether the newest canary object was written, read back and deleted."},
    {"fleet_minio_canary_age_seconds", MetricType::kGauge, "Time since the newest canary round."},
};
constexpr const MetricDesc& kHealth = kMetrics[1];
constexpr const MetricDesc& kHealthSeconds = kMetrics[2];
constexpr const MetricDesc& kQuorum = kMetrics[3];
constexpr const MetricDesc& kHealing = kMetrics[4];
constexpr const MetricDesc& kDropped = kMetrics[5];
constexpr const MetricDesc& kCanarySeconds = kMetrics[6];
constexpr const MetricDesc& kCanarySuccess = kMetrics[7];
constexpr const MetricDesc& kCanaryAge = kMetrics[8];

HttpRequest Request(const MinioServer& server, absl::string_view path, absl::Duration timeout,
                    size_t bytes_max) {
  HttpRequest request;
  request.url = absl::StrCat(absl::StripSuffix(server.url, "/"), path);
  request.ca_file = server.ca_file;
  request.timeout = timeout;
  request.body_bytes_max = bytes_max;
  return request;
}

/// "tempo:9000" of "https://tempo:9000/".
std::string HostPort(absl::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme != absl::string_view::npos) url.remove_prefix(scheme + 3);
  return std::string(url.substr(0, url.find('/')));
}

std::string HostName() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name[0] == '\0' ? "unnamed" : name;
}

/// What is kept of a server between runs.
struct ServerState {
  std::string generation;  // of the metrics that it has: "v2", "v3"; empty: not known yet
  CanaryResult canary;
  std::optional<SteadyTime> canary_at;
};

/// One server in one run.
class Visit {
 public:
  Visit(CheckRun& run, HttpClient& client, const MinioOptions& options, const MinioServer& server,
        ServerState& state, bool alone)
      : run_(run),
        client_(client),
        options_(options),
        server_(server),
        state_(state),
        prefix_(alone ? "" : absl::StrCat(server.name, " ")) {
    if (!alone) labels_.push_back({"server", server.name});
  }

  /// Errors: kUnavailable with the reason when the server does not work at all.
  absl::Status Run() {
    const bool works = server_.flavour == "s3" ? AskPlainly() : AskMinio();
    if (!works) return down_;
    MaybeRunCanary();
    return absl::OkStatus();
  }

 private:
  absl::Duration Timeout(absl::Duration wanted) const {
    return std::max(absl::Milliseconds(1), std::min(wanted, run_.TimeLeft() - kMargin));
  }

  void AddItem(absl::string_view part, const MinioFinding& finding) {
    Item& item = run_.AddItem(absl::StrCat(prefix_, part), finding.verdict, finding.reason);
    item.unknown = finding.unknown;
  }
  void AddValue(const MetricDesc& desc, double value, std::optional<Label> label = std::nullopt) {
    std::vector<Label> labels = labels_;
    if (label) labels.push_back(*label);
    run_.Add(desc, labels, value);
  }
  void AddProbe(absl::string_view probe, const absl::StatusOr<HttpResponse>& reply, bool good) {
    AddValue(kHealth, good ? 1 : 0, Label{"probe", probe});
    if (!reply.ok()) return;
    AddValue(kHealthSeconds, absl::ToDoubleSeconds(reply->timings.total), Label{"probe", probe});
  }

  /// Another S3 server: any reply but a failure shows that it serves. Most refuse without a key.
  bool AskPlainly() {
    const auto reply = client_.Fetch(Request(server_, "/", Timeout(kLiveTimeout), kHealthBytesMax));
    if (!reply.ok()) down_ = absl::UnavailableError(reply.status().message());
    if (reply.ok() && reply->code >= 500) down_ = absl::UnavailableError(DescribeReply(*reply));
    AddProbe("live", reply, down_.ok());
    if (down_.ok()) AddItem("live", {Verdict::kOk, UnknownKind::kNone, "answers"});
    return down_.ok();
  }

  bool AskMinio() {
    std::vector<HttpRequest> requests = {
        Request(server_, "/minio/health/live", Timeout(kLiveTimeout), kHealthBytesMax),
        Request(server_, "/minio/health/cluster", Timeout(kClusterTimeout), kHealthBytesMax),
        Request(server_, "/minio/health/cluster/read", Timeout(kClusterTimeout), kHealthBytesMax)};
    const size_t health_count = requests.size();
    const std::string generation = FirstGeneration();
    const absl::Status secret = ReadToken();
    if (!generation.empty() && secret.ok()) AppendMetricsRequests(generation, requests);
    const auto replies = client_.FetchAll(requests);

    down_ = JudgeMinioLive(replies[0]);
    const MinioCluster write = JudgeMinioCluster(replies[1], /*read=*/false);
    const MinioCluster read = JudgeMinioCluster(replies[2], /*read=*/true);
    AddProbe("live", replies[0], down_.ok());
    if (write.offered) AddProbe("cluster", replies[1], write.finding.verdict == Verdict::kOk);
    if (read.offered) AddProbe("cluster_read", replies[2], read.finding.verdict == Verdict::kOk);
    if (!down_.ok()) return false;
    AddItem("cluster", write.finding);
    if (read.offered) AddItem("cluster read", read.finding);
    if (write.quorum) AddValue(kQuorum, *write.quorum, Label{"operation", "write"});
    if (read.quorum) AddValue(kQuorum, *read.quorum, Label{"operation", "read"});

    if (!secret.ok()) {
      AddItem("metrics", {Verdict::kUnknown, UnknownKind::kBlind, std::string(secret.message())});
    } else if (!generation.empty()) {
      TakeMetrics(generation, absl::MakeConstSpan(replies).subspan(health_count));
    }
    if (write.healing_drives) summary_.healing_drives = *write.healing_drives;
    JudgeSummary();
    return true;
  }

  std::string FirstGeneration() const {
    if (server_.metrics == "off") return "";
    if (server_.metrics != "auto") return server_.metrics;
    return state_.generation.empty() ? "v2" : state_.generation;
  }

  absl::Status ReadToken() {
    if (server_.token_file.empty() || server_.metrics == "off") return absl::OkStatus();
    absl::StatusOr<std::string> token = ReadSecretFile(server_.token_file);
    if (!token.ok()) {
      return absl::PermissionDeniedError(
          absl::StrCat("cannot read token_file: ", token.status().message()));
    }
    token_ = *std::move(token);
    return absl::OkStatus();
  }

  void AppendMetricsRequests(absl::string_view generation, std::vector<HttpRequest>& requests) {
    for (const absl::string_view path : MinioMetricsPaths(generation)) {
      HttpRequest request = Request(server_, path, Timeout(kMetricsTimeout), kMetricsBytesMax);
      if (!token_.empty()) request.headers = {{"Authorization", absl::StrCat("Bearer ", token_)}};
      requests.push_back(std::move(request));
    }
  }

  void TakeMetrics(const std::string& generation,
                   absl::Span<const absl::StatusOr<HttpResponse>> replies) {
    if (TakeGeneration(generation, replies) || server_.metrics != "auto") return FinishMetrics();
    // Not the generation that this server has: the other one.
    const std::string other = generation == "v2" ? "v3" : "v2";
    std::vector<HttpRequest> requests;
    AppendMetricsRequests(other, requests);
    TakeGeneration(other, client_.FetchAll(requests));
    FinishMetrics();
  }

  /// False when the server does not know these paths.
  bool TakeGeneration(const std::string& generation,
                      absl::Span<const absl::StatusOr<HttpResponse>> replies) {
    bool known = false;
    metrics_ = MinioFinding{};
    for (const absl::StatusOr<HttpResponse>& reply : replies) {
      const MinioFinding finding = TakeReply(reply);
      known = known || !reply.ok() || (reply->code != 404 && reply->code != 400);
      if (IsWorse(finding.verdict, metrics_.verdict)) metrics_ = finding;
    }
    if (known) state_.generation = generation;
    return known;
  }

  MinioFinding TakeReply(const absl::StatusOr<HttpResponse>& reply) {
    const auto error = [](absl::string_view why) {
      return MinioFinding{Verdict::kUnknown, UnknownKind::kError, std::string(why)};
    };
    if (!reply.ok()) return error(reply.status().message());
    if (reply->code == 401 || reply->code == 403) {
      const absl::string_view what =
          server_.token_file.empty() ? "minio's metrics need a token" : "minio refuses this token";
      return {Verdict::kUnknown, UnknownKind::kBlind,
              absl::StrCat(what,
                           ": run `mc admin prometheus generate ALIAS`, write its bearer_token "
                           "into a file and name that as checks.minio.token_file")};
    }
    if (reply->code != 200) {
      return error(absl::StrCat("no metrics: ", DescribeReply(*reply),
                                "; checks.minio.metrics: off ends this"));
    }
    const absl::StatusOr<Exposition> exposition =
        ParseExposition(reply->body, IsMinioMetricKept, kSeriesMax - std::min(kSeriesMax, added_));
    if (!exposition.ok()) return error(exposition.status().message());
    TakeExposition(*exposition);
    return {};
  }

  void TakeExposition(const Exposition& exposition) {
    SummariseMinio(exposition, summary_);
    dropped_ += exposition.dropped;
    std::string server_label;
    AppendLabels(labels_, server_label);
    for (const ExpositionSample& sample : exposition.samples) {
      const ExpositionFamily& family = exposition.families[sample.family];
      std::string labels = sample.labels;
      // Minio names itself in most series; where it does not, the label tells servers apart.
      if (!server_label.empty() && !absl::StrContains(absl::StrCat(",", labels), ",server=\"")) {
        absl::StrAppend(&labels, labels.empty() ? "" : ",", server_label);
      }
      // The cluster's and the node's page share a few series.
      if (!seen_.insert(absl::StrCat(family.name, "{", labels)).second) continue;
      run_.AddRaw({family.name, family.type,
                   family.help.empty() ? std::string("Minio's own.") : family.help},
                  labels, sample.value);
      ++added_;
    }
  }

  void FinishMetrics() {
    if (added_ > 0) AddValue(kDropped, static_cast<double>(dropped_));
    if (metrics_.verdict == Verdict::kOk && added_ == 0) {
      metrics_ = {Verdict::kUnknown, UnknownKind::kError, "the reply holds no metrics of minio"};
    }
    if (metrics_.verdict != Verdict::kOk) AddItem("metrics", metrics_);
  }

  void JudgeSummary() {
    if (summary_.healing_drives) AddValue(kHealing, *summary_.healing_drives);
    if (summary_.healing_drives.value_or(0) > 0) {
      AddItem("healing",
              {Verdict::kWarn, UnknownKind::kNone,
               absl::StrFormat("%.0f %s being healed", *summary_.healing_drives,
                               *summary_.healing_drives == 1 ? "drive is" : "drives are")});
    }
    if (summary_.drives_offline) {
      const bool offline = *summary_.drives_offline > 0;
      const std::string names = absl::StrJoin(summary_.offline_drives, ", ");
      AddItem(
          "drives",
          {offline ? Verdict::kWarn : Verdict::kOk, UnknownKind::kNone,
           offline ? absl::StrFormat("%.0f of %.0f drives offline%s%s", *summary_.drives_offline,
                                     *summary_.drives_offline + summary_.drives_online.value_or(0),
                                     names.empty() ? "" : ": ", names)
                   : absl::StrFormat("%.0f online", summary_.drives_online.value_or(0))});
    }
    if (summary_.nodes_offline.value_or(0) > 0) {
      AddItem("nodes", {Verdict::kWarn, UnknownKind::kNone,
                        absl::StrFormat("%.0f nodes offline", *summary_.nodes_offline)});
    }
    JudgeCapacity();
  }

  void JudgeCapacity() {
    const double total = summary_.usable_total_bytes.value_or(0);
    if (total <= 0 || !summary_.usable_free_bytes) return;
    const double used = 1 - *summary_.usable_free_bytes / total;
    const Verdict verdict = used >= options_.capacity_crit_ratio   ? Verdict::kCrit
                            : used >= options_.capacity_warn_ratio ? Verdict::kWarn
                                                                   : Verdict::kOk;
    AddItem("capacity", {verdict, UnknownKind::kNone,
                         absl::StrCat(HumanPercent(used), " of ", HumanBytes(total), " used")});
  }

  void MaybeRunCanary() {
    if (server_.canary_bucket.empty()) return;
    const SteadyTime now = run_.steady_now();
    const bool due = !state_.canary_at || now - *state_.canary_at >= server_.canary_interval;
    const absl::Duration left = run_.TimeLeft() - kMargin;
    if (due && left > absl::ZeroDuration()) {
      state_.canary = RunCanary(client_, server_, HostName(),
                                absl::StrCat(absl::ToUnixNanos(run_.now())), left);
      state_.canary_at = now;
    }
    if (!state_.canary_at) {
      AddItem("canary", {Verdict::kUnknown, UnknownKind::kStuck,
                         "not tried: the health probes took all the time"});
      return;
    }
    const CanaryResult& canary = state_.canary;
    for (const auto& [operation, span] : canary.operations) {
      AddValue(kCanarySeconds, absl::ToDoubleSeconds(span), Label{"operation", operation});
    }
    const bool good =
        canary.finding.verdict == Verdict::kOk || canary.finding.verdict == Verdict::kWarn;
    AddValue(kCanarySuccess, good ? 1 : 0);
    AddValue(kCanaryAge, absl::ToDoubleSeconds(run_.steady_now() - *state_.canary_at));
    AddItem("canary", canary.finding);
  }

  CheckRun& run_;
  HttpClient& client_;
  const MinioOptions& options_;
  const MinioServer& server_;
  ServerState& state_;
  const std::string prefix_;   // of item names
  std::vector<Label> labels_;  // of our own series
  std::string token_;
  absl::Status down_;
  MinioSummary summary_;
  MinioFinding metrics_;
  absl::flat_hash_set<std::string> seen_;
  size_t added_ = 0;
  size_t dropped_ = 0;
};

class MinioCheck final : public Check {
 public:
  explicit MinioCheck(const CheckEnv& env) : fs_(env.fs), options_(env.options.minio) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    const std::vector<MinioServer> servers = Servers(run);
    if (servers.empty()) {
      client_.reset();  // a host without minio keeps nothing of libcurl's
      return absl::NotFoundError("nothing on port 9000 answers as minio does");
    }
    absl::Status first;
    NeedClient();
    for (const MinioServer& server : servers) {
      const bool alone = servers.size() == 1;
      const absl::Status status =
          Visit(run, *client_, options_, server, states_[server.url], alone).Run();
      if (status.ok()) continue;
      const std::string why = absl::StrCat(server.url, ": ", status.message());
      if (!alone) run.AddItem(server.name, Verdict::kCrit, status.message());
      if (first.ok()) first = absl::UnavailableError(why);
    }
    FLEET_RETURN_IF_ERROR(first);
    SetReason(servers, run);
    return absl::OkStatus();
  }

 private:
  /// The configured servers; else those found before, or now. What was found once stays expected,
  /// so that a server that is down is missed by its name.
  std::vector<MinioServer> Servers(CheckRun& run) {
    std::vector<MinioServer> servers = options_.servers;
    if (servers.empty()) {
      std::vector<std::string> urls;
      if (const std::string* known = run.memory().Find(kFoundKey); known != nullptr) {
        urls = absl::StrSplit(*known, ' ', absl::SkipEmpty());
      } else if (!looked_ || run.steady_now() - *looked_ >= kLookAgain) {
        looked_ = run.steady_now();
        NeedClient();
        urls = DiscoverMinio(fs_, *client_);
        if (!urls.empty()) run.memory().Set(kFoundKey, absl::StrJoin(urls, " "));
      }
      for (std::string& url : urls) {
        servers.push_back(options_.found);
        servers.back().url = std::move(url);
      }
    }
    for (MinioServer& server : servers) {
      if (server.name.empty()) server.name = HostPort(server.url);
    }
    return servers;
  }

  void NeedClient() {
    if (client_ == nullptr) client_ = std::make_unique<HttpClient>();
  }

  static void SetReason(const std::vector<MinioServer>& servers, CheckRun& run) {
    std::string capacity;
    for (const Item& item : run.report().items) {
      if (item.verdict != Verdict::kOk) return;  // the worst item says it
      if (item.name == "capacity") capacity = absl::StrCat(", ", item.reason);
    }
    run.SetReason(servers.size() == 1 ? absl::StrCat(servers[0].name, " serves", capacity)
                                      : absl::StrCat(servers.size(), " servers serve"));
  }

  const HostFs fs_;
  const MinioOptions options_;
  std::optional<SteadyTime> looked_;  // for a server that is not known
  std::unique_ptr<HttpClient> client_;
  std::map<std::string, ServerState> states_;  // by URL
};

}  // namespace

std::unique_ptr<Check> MakeMinioCheck(const CheckEnv& env) {
  return std::make_unique<MinioCheck>(env);
}

}  // namespace fleet::agent
