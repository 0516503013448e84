#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/checks/checks.h"
#include "agent/listening.h"
#include "agent/postgres/advice.h"
#include "agent/postgres/discover.h"
#include "agent/postgres/emit.h"
#include "agent/postgres/judge.h"
#include "agent/postgres/metrics.h"
#include "agent/postgres/server.h"
#include "agent/watchdog.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kLookAgain = absl::Minutes(1);
/// What is left of a run's time for everything but waiting.
constexpr absl::Duration kReserve = absl::Milliseconds(200);
/// Most that one server may take of it.
constexpr absl::Duration kServerTimeMax = absl::Milliseconds(3500);
/// Servers seen here by themselves, each with its dsn; and the last known number of connections.
constexpr absl::string_view kServerKey = "server/";
constexpr absl::string_view kUsableKey = "usable/";

std::string SystemUser() {
  passwd entry;
  passwd* found = nullptr;
  char buffer[4096];
  const uid_t uid = ::geteuid();
  if (::getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return absl::StrCat(uid);
}

class PostgresCheck final : public Check {
 public:
  explicit PostgresCheck(const CheckEnv& env) : fs_(env.fs), options_(env.options.postgres) {
    for (const PostgresServer& server : options_.servers) Want(server);
  }

  absl::Span<const MetricDesc> metrics() const override { return kPgMetrics; }

  absl::Status Collect(CheckRun& run) override {
    if (!fs_.live()) return absl::NotFoundError("PostgreSQL is asked only on a live host");
    FLEET_RETURN_IF_ERROR(FindServers(run));
    absl::Status worst = absl::OkStatus();
    size_t present = 0;
    size_t answered = 0;
    size_t left = servers_.size();
    std::string summary;
    for (auto& [name, server] : servers_) {
      const auto doubtful = doubtful_until_.find(name);
      if (doubtful != doubtful_until_.end() && run.steady_now() < doubtful->second) {
        --left;
        continue;
      }
      const absl::Duration share =
          std::min(kServerTimeMax, (run.TimeLeft() - kReserve) / static_cast<int64_t>(left--));
      const absl::Status status =
          server.Refresh(options_, run.steady_now(), SteadyAfter(Clock::Real().SteadyNow(), share));
      if (!status.ok() && !Expected(run, name, status)) {
        doubtful_until_[name] = SteadyAfter(run.steady_now(), kLookAgain);
        continue;
      }
      doubtful_until_.erase(name);
      ++present;
      Remember(run, name, server);
      run.Add(PgMetric("fleet_postgres_up"), {{"server", name}}, status.ok() ? 1 : 0);
      if (status.ok()) {
        ++answered;
        if (!summary.empty()) absl::StrAppend(&summary, "; ");
        absl::StrAppend(&summary, Answered(run, server));
      } else {
        const absl::Status failed = Failed(run, server, status);
        if (worst.ok() || absl::IsUnavailable(failed)) worst = failed;
      }
    }
    if (present == 0) return absl::NotFoundError("no PostgreSQL listens here");
    run.Add(PgMetric("pg_up"), answered > 0 ? 1 : 0);
    if (answered == 0) return worst;
    run.SetReason(summary);
    return absl::OkStatus();
  }

 private:
  /// Where none is configured, fills servers_: what listens here and what once did.
  absl::Status FindServers(CheckRun& run) {
    if (!options_.servers.empty()) return absl::OkStatus();
    const bool all_connected =
        !servers_.empty() && std::all_of(servers_.begin(), servers_.end(), [](const auto& entry) {
          return entry.second.connected();
        });
    if (all_connected && run.steady_now() - looked_ < kLookAgain) return absl::OkStatus();
    looked_ = run.steady_now();
    FLEET_ASSIGN_OR_RETURN(const Listening listening, ListeningPorts(fs_));
    const std::vector<PostgresServer> found = DiscoverPostgres(listening);
    // A name never seen to be PostgreSQL goes when it listens no more.
    std::erase_if(servers_, [&](const auto& entry) {
      return run.memory().Find(absl::StrCat(kServerKey, entry.first)) == nullptr &&
             std::none_of(found.begin(), found.end(), [&](const PostgresServer& server) {
               return PostgresServerName(server) == entry.first;
             });
    });
    for (const PostgresServer& server : found) Want(server);
    for (const auto& [key, dsn] : run.memory().entries()) {
      if (absl::StartsWith(key, kServerKey)) Want({.name = {}, .dsn = dsn, .password_file = {}});
    }
    return absl::OkStatus();
  }

  void Want(const PostgresServer& server) {
    const std::string name = PostgresServerName(server);
    if (servers_.try_emplace(name, server, watchdog_).second) dsns_[name] = server.dsn;
  }

  /// Whether a server that failed counts: configured, seen before, or surely PostgreSQL (its
  /// socket listens, or it refused us in the server's own words).
  bool Expected(CheckRun& run, const std::string& name, const absl::Status& status) const {
    return !options_.servers.empty() || absl::StartsWith(name, "/") || !Sqlstate(status).empty() ||
           run.memory().Find(absl::StrCat(kServerKey, name)) != nullptr;
  }

  void Remember(CheckRun& run, const std::string& name, const PgServer& server) const {
    if (options_.servers.empty()) run.memory().Set(absl::StrCat(kServerKey, name), dsns_.at(name));
    if (const auto usable = server.usable_connections(); usable.has_value()) {
      run.memory().Set(absl::StrCat(kUsableKey, name), absl::StrCat(*usable));
    }
  }

  /// Adds what an answering server said; returns its summary.
  std::string Answered(CheckRun& run, const PgServer& server) const {
    EmitPostgres(server.answers(), server.name(), run);
    PgSince since(run.memory(), absl::StrCat("since/", server.name(), "/"), run.now());
    std::string summary;
    for (Item& item : JudgePostgres(server.answers(), options_, since)) {
      if (item.name.empty()) summary = item.reason;
      AddPart(run, server, item.name, item.verdict, item.unknown, item.reason);
    }
    since.Sweep();
    const PgTable* const row = server.answers().Row("server");
    const bool monitor = row == nullptr || row->True(0, "monitor");
    for (const auto& [group, status] : server.failures())
      AddFailure(run, server, group, status, monitor);
    return summary;
  }

  static void AddPart(CheckRun& run, const PgServer& server, absl::string_view part,
                      Verdict verdict, UnknownKind unknown, absl::string_view reason) {
    const std::string name = part.empty() ? server.name() : absl::StrCat(server.name(), " ", part);
    run.AddItem(name, verdict, reason).unknown = unknown;
  }

  static void AddFailure(CheckRun& run, const PgServer& server, const std::string& group,
                         const absl::Status& status, bool monitor) {
    const auto blind = PgBlindReason(status, server.address(), SystemUser());
    if (blind.has_value()) {
      // Without pg_monitor these are sure to fail, and the item "rights" has the line to run.
      if (!monitor) return;
      AddPart(run, server, group, Verdict::kUnknown, UnknownKind::kBlind, *blind);
    } else if (absl::IsDataLoss(status)) {
      AddPart(run, server, group, Verdict::kCrit, UnknownKind::kNone,
              absl::StrCat("a damaged page: ", status.message()));
    } else if (absl::IsDeadlineExceeded(status)) {
      AddPart(run, server, group, Verdict::kUnknown, UnknownKind::kStuck,
              absl::StrCat("given up: ", status.message()));
    } else {
      AddPart(run, server, group, Verdict::kUnknown, UnknownKind::kError, status.message());
    }
  }

  /// Adds the item of a server that did not answer; returns what that makes of the run.
  static absl::Status Failed(CheckRun& run, const PgServer& server, const absl::Status& status) {
    if (const auto blind = PgBlindReason(status, server.address(), SystemUser())) {
      run.AddUnknownItem(server.name(), UnknownKind::kBlind, *blind);
      return absl::PermissionDeniedError(absl::StrCat(server.name(), ": ", *blind));
    }
    if (absl::IsInvalidArgument(status) || absl::IsUnimplemented(status)) {
      run.AddUnknownItem(server.name(), UnknownKind::kError, status.message());
      return absl::InvalidArgumentError(absl::StrCat(server.name(), ": ", status.message()));
    }
    std::optional<double> usable = server.usable_connections();
    double kept = 0;
    const std::string* const text = run.memory().Find(absl::StrCat(kUsableKey, server.name()));
    if (!usable.has_value() && text != nullptr && absl::SimpleAtod(*text, &kept)) usable = kept;
    const std::string reason = PgDownReason(status, usable);
    run.AddItem(server.name(), Verdict::kCrit, reason);
    return absl::UnavailableError(absl::StrCat(server.name(), ": ", reason));
  }

  const HostFs fs_;
  const PostgresOptions options_;
  Watchdog watchdog_;  // outlives the sessions
  std::map<std::string, PgServer> servers_;
  std::map<std::string, std::string> dsns_;
  SteadyTime looked_;
  /// What listens where PostgreSQL might and did not sound like it: when to ask again.
  std::map<std::string, SteadyTime> doubtful_until_;
};

}  // namespace

std::unique_ptr<Check> MakePostgresCheck(const CheckEnv& env) {
  return std::make_unique<PostgresCheck>(env);
}

}  // namespace fleet::agent
