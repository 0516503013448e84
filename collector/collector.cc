#include "collector/collector.h"

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "collector/acceptor.h"
#include "collector/events.h"
#include "collector/fleet_service.h"
#include "collector/grpc_server.h"
#include "collector/history_service.h"
#include "collector/http/http_server.h"
#include "collector/http/routes.h"
#include "collector/identity.h"
#include "collector/ingest.h"
#include "collector/ingest_service.h"
#include "collector/keep.h"
#include "collector/key_store.h"
#include "collector/keys_service.h"
#include "collector/probes/probe_side.h"
#include "collector/self_metrics.h"
#include "collector/server_tls.h"
#include "collector/trust.h"
#include "collector/trust_service.h"
#include "collector/trust_store.h"
#include "collector/updown/updown.h"
#include "collector/web/announce_service.h"
#include "collector/web/announcements.h"
#include "collector/web/publisher.h"
#include "collector/web/web.h"
#include "common/log.h"
#include "common/private_file.h"
#include "common/status_macros.h"
#include "common/version.h"

namespace fleet::collector {
namespace {

StateOptions ToStateOptions(const CollectorOptions& options) {
  StateOptions state;
  state.limits.hosts = options.hosts_max;
  state.limits.series_per_host = options.series_per_host_max;
  state.limits.reports_per_second = options.reports_per_second_max;
  state.job = options.job;
  state.collector_version = std::string(Version());
  for (const auto& [name, host] : options.hosts) {
    HostParents& parents = state.parents[name];
    parents.parent = host.parent();
    for (const auto& [check, parent] : host.parents()) parents.by_check[check] = parent;
  }
  return state;
}

/// Members in the order of their start; destroyed, as Stop stops them, the other way round.
class RunningCollector final : public Collector {
 public:
  RunningCollector(CollectorOptions options, Clock& clock)
      : options_(std::move(options)),
        clock_(clock),
        state_(clock, ToStateOptions(options_)),
        hub_(state_, metrics_, clock),
        key_book_(clock),
        routes_(state_, metrics_, AccessKeys(options_.keys, &key_book_)) {}

  ~RunningCollector() override {
    Stop(absl::ZeroDuration());
    if (probes_ != nullptr) probes_->probes().OnChange(nullptr);
    metrics_.ClearSources();
    state_.SetNoteSource(nullptr);
    state_.SetStatusObserver(nullptr);
  }

  absl::Status Listen();

  const Address& grpc_address() const override { return acceptor_->address(); }
  const Address& http_address() const override { return http_->address(); }
  FleetState& state() override { return state_; }

  bool Pulse() override {
    hub_.SetMetrics();
    // Through every shard's lock and every host's; nobody's name is looked for.
    (void)state_.Snapshot("");
    return keep_ == nullptr || keep_->journal().stalled() < kJournalStallMax;
  }

  void Stop(absl::Duration grace) override {
    routes_.set_ready(false);
    hub_.Drain();
    if (fleet_ != nullptr) fleet_->Drain();
    if (history_ != nullptr) history_->Drain();
    if (probes_ != nullptr) probes_->Stop();
    if (grpc_ != nullptr) grpc_->Stop(grace);
    if (http_ != nullptr) http_->StopAccepting();
  }

 private:
  absl::Status OpenTrust();
  absl::Status Well();
  absl::Status OpenKeys();
  absl::Status OpenKeep();
  absl::Status OpenProbes();
  absl::Status OpenWeb();
  absl::Status OpenUpdown();
  absl::Status ListenGrpc();
  absl::Status ListenHttp();
  std::string DataPath(absl::string_view name) const;
  void CountHttp(const HttpExchange& exchange);

  const CollectorOptions options_;
  Clock& clock_;
  SelfMetrics metrics_;
  FleetState state_;
  std::unique_ptr<EventLog> events_;
  std::unique_ptr<TrustStore> trust_store_;
  std::unique_ptr<Keep> keep_;  // null: nothing is kept
  std::unique_ptr<ProbeSide> probes_;
  std::unique_ptr<AnnouncementStore> announcements_;
  IngestHub hub_;
  KeyBook key_book_;
  std::unique_ptr<KeyStore> keys_;
  Routes routes_;
  std::unique_ptr<Web> web_;
  std::unique_ptr<Publisher> publisher_;
  std::unique_ptr<Updown> updown_;
  std::unique_ptr<ServerTls> tls_;  // null: plaintext
  Newcomers newcomers_;
  std::unique_ptr<Refusals> refusals_;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<Trust> trust_;
  std::unique_ptr<IngestService> ingest_;
  std::unique_ptr<FleetService> fleet_;
  std::unique_ptr<TrustService> trust_service_;
  std::unique_ptr<KeysService> keys_service_;
  std::unique_ptr<HistoryService> history_;
  std::unique_ptr<AnnounceService> announce_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<GrpcServer> grpc_;
};

void RunningCollector::CountHttp(const HttpExchange& exchange) {
  metrics_.Count(self::kHttpRequests,
                 {{"route", exchange.route}, {"code", absl::StrCat(exchange.status)}});
  metrics_.Count(self::kHttpSeconds, {{"route", exchange.route}},
                 absl::ToDoubleSeconds(exchange.duration));
  metrics_.Count(self::kHttpBytes, {{"route", exchange.route}},
                 static_cast<double>(exchange.body_bytes));
}

absl::Status RunningCollector::ListenHttp() {
  HttpServer::Options http;
  http.listen = options_.http;
  http.limits.total = options_.http_connections_max;
  http.limits.per_address = std::max<size_t>(options_.http_connections_max / 2, 1);
  http.done = [this](const HttpExchange& exchange) { CountHttp(exchange); };
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(
      std::move(http), [this](const HttpRequest& request) { return routes_.Answer(request); },
      Clock::Real());
  if (!server.ok()) return server.status();
  http_ = *std::move(server);
  routes_.set_address(http_->address());
  metrics_.AddSource([this](SelfMetrics& metrics) {
    const ConnectionTable& table = http_->connections();
    metrics.Set(self::kHttpConnections, {}, static_cast<double>(table.size()));
    metrics.Set(self::kHttpShut, {{"reason", "limit"}},
                static_cast<double>(table.shut_for_limit()));
    metrics.Set(self::kHttpShut, {{"reason", "deadline"}},
                static_cast<double>(table.shut_for_deadline()));
    metrics.Set(self::kHttpShut, {{"reason", "stalled"}},
                static_cast<double>(table.shut_for_stall()));
    metrics.Set(self::kHttpShut, {{"reason", "no_request"}},
                static_cast<double>(table.without_request()));
  });
  return absl::OkStatus();
}

std::string RunningCollector::DataPath(absl::string_view name) const {
  return options_.data_dir.empty() ? std::string() : absl::StrCat(options_.data_dir, "/", name);
}

absl::Status RunningCollector::OpenTrust() {
  if (!options_.data_dir.empty()) FLEET_RETURN_IF_ERROR(MakePrivateDirectory(options_.data_dir));
  FLEET_ASSIGN_OR_RETURN(events_, EventLog::Open(DataPath("events.db"), clock_));
  FLEET_ASSIGN_OR_RETURN(trust_store_, TrustStore::Open(DataPath("trust.db"), clock_));
  refusals_ = std::make_unique<Refusals>(*events_, metrics_, clock_);
  gate_ = std::make_unique<Gate>(*trust_store_, *refusals_, newcomers_, clock_,
                                 !options_.trust.has_value());
  if (options_.trust.has_value()) {
    FLEET_ASSIGN_OR_RETURN(tls_, ServerTls::Make(*options_.trust, clock_));
  }
  FLEET_ASSIGN_OR_RETURN(acceptor_,
                         Acceptor::Listen(options_.grpc, options_.connections, newcomers_, clock_));
  const bool anywhere = options_.grpc.host == "0.0.0.0" || options_.grpc.host == "::";
  trust_ = std::make_unique<Trust>(TrustParts{
      .store = *trust_store_,
      .gate = *gate_,
      .refusals = *refusals_,
      .events = *events_,
      .metrics = metrics_,
      .clock = clock_,
      .tls = tls_.get(),
      .certificate_lifetime =
          options_.trust.has_value() ? options_.trust->certificate_lifetime : absl::ZeroDuration(),
      .knows =
          [this](const std::string& host) {
            if (state_.Knows(host) || keep_ == nullptr) return state_.Knows(host);
            const std::vector<std::string> hosts = keep_->journal().Hosts();
            return std::find(hosts.begin(), hosts.end(), host) != hosts.end();
          },
      .forget =
          [this](const std::string& host) {
            if (probes_ != nullptr) probes_->ForgetVantage(host);
            return state_.Forget(host);
          },
      .address = anywhere ? "" : acceptor_->address().ToString()});
  return absl::OkStatus();
}

/// Who may ask over HTTP; misuse of a key is counted and noted like that of a certificate.
absl::Status RunningCollector::OpenKeys() {
  FLEET_ASSIGN_OR_RETURN(keys_, KeyStore::Open(DataPath("keys.db"), key_book_, clock_));
  key_book_.OnRefused(
      [this](absl::string_view reason, absl::string_view name, absl::string_view peer) {
        RefusedPeer refusal;
        refusal.reason = std::string(reason);
        refusal.address = std::string(peer);
        refusal.text = name.empty() ? "a request over HTTP"
                                    : absl::StrCat("a request over HTTP with the key ", name);
        refusals_->Note(refusal);
      });
  return absl::OkStatus();
}

/// Everything of the hosts that outlives a restart; without a data_dir there is nothing of it.
absl::Status RunningCollector::OpenKeep() {
  if (options_.data_dir.empty()) return absl::OkStatus();
  FLEET_ASSIGN_OR_RETURN(
      keep_, Keep::Open(
                 options_, state_, *events_,
                 [this](absl::string_view host) { return trust_store_->IsRetired(host); }, clock_));
  hub_.SetParts({&keep_->journal(), &keep_->feed()});
  metrics_.AddSource([this](SelfMetrics& metrics) { keep_->SetMetrics(metrics); });
  return absl::OkStatus();
}

absl::Status RunningCollector::OpenProbes() {
  FLEET_ASSIGN_OR_RETURN(probes_, ProbeSide::Start(options_, probe::Engine::Create(), state_,
                                                   *events_, metrics_, clock_));
  hub_.SetVantages(&probes_->vantages());
  routes_.Add(probes_->Paths());
  routes_.set_extra([this] { return probes_->Series(); });
  metrics_.AddSource([this](SelfMetrics& metrics) { probes_->SetMetrics(metrics); });
  return absl::OkStatus();
}

absl::Status RunningCollector::OpenWeb() {
  FLEET_ASSIGN_OR_RETURN(announcements_,
                         AnnouncementStore::Open(DataPath("announcements.db"), clock_));
  web_ = std::make_unique<Web>(
      Web::Parts{*announcements_, clock_, &probes_->probes(), options_.status_page});
  probes_->probes().OnChange([this] { web_->Changed(); });
  routes_.Add(web_->Paths());
  publisher_ = std::make_unique<Publisher>(options_.publish, *web_, clock_);
  metrics_.AddSource([this](SelfMetrics& metrics) { publisher_->SetMetrics(metrics); });
  state_.SetNoteSource([this](std::vector<std::string>& notes) {
    if (keep_ != nullptr) keep_->AddNotes(notes);
    probes_->AddNotes(notes);
    publisher_->AddNotes(notes);
    trust_->AddNotes(notes);
  });
  announce_ = std::make_unique<AnnounceService>(*announcements_, *web_, *events_, clock_, *gate_);
  return absl::OkStatus();
}

absl::Status RunningCollector::OpenUpdown() {
  Updown::Parts parts{.probes = probes_->probes(),
                      .events = *events_,
                      .keys = AccessKeys(options_.keys, &key_book_),
                      .clock = clock_};
  parts.path = [this](absl::string_view name) { return DataPath(name); };
  parts.well = [this] { return Well(); };
  parts.refused = [this](const std::string& peer) {
    refusals_->Note(
        {"pulse_unknown", "a heartbeat for a check or with a key that is unknown", "", peer});
  };
  FLEET_ASSIGN_OR_RETURN(updown_, Updown::Open(options_.updown, std::move(parts)));
  probes_->probes().OnChange([this] { updown_->Changed(); });
  routes_.Add(updown_->Paths());
  metrics_.AddSource([this](SelfMetrics& metrics) { updown_->SetMetrics(metrics); });
  return absl::OkStatus();
}

/// Whether the loops turn and the disk takes what they make. Hangs with whatever hangs.
absl::Status RunningCollector::Well() {
  Pulse();
  if (keep_ != nullptr && !keep_->journal().stats().trouble.empty()) {
    return absl::UnavailableError("the disk refuses what the journal writes");
  }
  return absl::OkStatus();
}

absl::Status RunningCollector::ListenGrpc() {
  ingest_ = std::make_unique<IngestService>(hub_, metrics_, *gate_, acceptor_->unread(), clock_);
  fleet_ = std::make_unique<FleetService>(state_, metrics_, clock_, *gate_,
                                          [this] { return acceptor_->Notes(); });
  const auto add_probes = [this](v1::StatusReply& reply) { probes_->AddTo(reply); };
  fleet_->SetProbes(probes_->probes(), add_probes);
  routes_.set_probes(add_probes);
  trust_service_ = std::make_unique<TrustService>(*trust_, *gate_);
  keys_service_ =
      std::make_unique<KeysService>(KeysService::Parts{*keys_, *trust_, *events_, *gate_, clock_});
  history_ = std::make_unique<HistoryService>(
      HistoryService::Parts{state_, *trust_store_, keep_ == nullptr ? nullptr : &keep_->journal(),
                            events_.get()},
      clock_, *gate_);
  metrics_.AddSource([this](SelfMetrics& metrics) {
    metrics.Set(self::kConnections, {}, static_cast<double>(acceptor_->open()));
    metrics.Set(self::kConnectionsTaken, {}, static_cast<double>(acceptor_->accepted()));
    for (const ShutReason reason :
         {ShutReason::kTotal, ShutReason::kAddress, ShutReason::kHandshakes, ShutReason::kUnread}) {
      metrics.Set(self::kConnectionsShut, {{"reason", ShutReasonName(reason)}},
                  static_cast<double>(acceptor_->shut(reason)));
    }
    metrics.Set(self::kEventsDropped, {}, static_cast<double>(events_->dropped()));
  });
  FLEET_ASSIGN_OR_RETURN(
      grpc_, GrpcServer::Start(options_, *acceptor_, tls_.get(), *gate_,
                               {ingest_.get(), fleet_.get(), trust_service_.get(), history_.get(),
                                announce_.get(), keys_service_.get()}));
  return absl::OkStatus();
}

absl::Status RunningCollector::Listen() {
  metrics_.Set(self::kBuildInfo, {{"version", Version()}}, 1);
  metrics_.AddSource(SetProcessMetrics);
  metrics_.AddSource([this](SelfMetrics&) { hub_.SetMetrics(); });
  FLEET_RETURN_IF_ERROR(OpenTrust());
  FLEET_RETURN_IF_ERROR(OpenKeys());
  FLEET_RETURN_IF_ERROR(OpenKeep());
  FLEET_RETURN_IF_ERROR(OpenProbes());
  FLEET_RETURN_IF_ERROR(OpenWeb());
  FLEET_RETURN_IF_ERROR(OpenUpdown());
  FLEET_RETURN_IF_ERROR(ListenHttp());
  FLEET_RETURN_IF_ERROR(ListenGrpc());
  updown_->Start(http_->address().ToString());
  routes_.set_ready(true);
  log::Info("fleet-collector listens", {{"grpc", acceptor_->address().ToString()},
                                        {"http", http_->address().ToString()},
                                        {"tls", tls_ != nullptr ? "yes" : "no"}});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Collector>> Collector::Start(CollectorOptions options,
                                                            Clock& clock) {
  auto collector = std::make_unique<RunningCollector>(std::move(options), clock);
  const absl::Status started = collector->Listen();
  if (!started.ok()) return started;
  return std::unique_ptr<Collector>(std::move(collector));
}

absl::Status Collector::WritePorts(const std::string& path) const {
  const std::string text =
      absl::StrCat("grpc=", grpc_address().port, "\nhttp=", http_address().port, "\n");
  const std::string partial = path + ".new";
  std::FILE* file = std::fopen(partial.c_str(), "we");
  if (file == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("open ", partial));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !written) {
    return absl::ErrnoToStatus(errno, absl::StrCat("write ", partial));
  }
  if (std::rename(partial.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("rename to ", path));
  }
  return absl::OkStatus();
}

}  // namespace fleet::collector
