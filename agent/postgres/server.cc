#include "agent/postgres/server.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/postgres/discover.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kMinutePace = absl::Minutes(1);
constexpr absl::Duration kGroupRetry = absl::Minutes(10);
constexpr int kRefusalsAtOnce = 3;
constexpr absl::Duration kRefusedPause = absl::Seconds(55);
constexpr absl::Duration kTablesTimeMax = absl::Seconds(1);
constexpr size_t kDatabasesMax = 64;

// Never in anybody's way: a query of ours that takes seconds or waits for a lock is given up by
// the server itself. jit would compile for longer than these queries run.
constexpr absl::string_view kSettings =
    "SET statement_timeout = '2s'; SET lock_timeout = '500ms'; SET jit = off; "
    "SET default_transaction_read_only = on; SET search_path = pg_catalog; "
    "SET idle_in_transaction_session_timeout = '10s'";

constexpr absl::string_view kMonitorSql =
    "SELECT pg_has_role(current_user, 'pg_monitor', 'USAGE') AS monitor";

std::string Execute(const PgQuery& query) { return absl::StrCat("EXECUTE fleet_", query.name); }

}  // namespace

PgServer::PgServer(const PostgresServer& config, Watchdog& watchdog)
    : name_(PostgresServerName(config)),
      target_{.dsn = config.dsn, .password_file = config.password_file, .database = {}},
      watchdog_(watchdog),
      session_(watchdog) {
  auto address = ParsePgDsn(config.dsn);
  if (address.ok()) {
    address_ = *std::move(address);
  } else {
    dsn_error_ = address.status();
  }
}

absl::Status PgServer::Refresh(const PostgresOptions& options, SteadyTime now,
                               SteadyTime deadline) {
  FLEET_RETURN_IF_ERROR(dsn_error_);
  const bool was_open = session_.open();
  if (!was_open) FLEET_RETURN_IF_ERROR(Connect(now, deadline));
  absl::Status status = AskGroups(options, now, deadline);
  // A connection kept from the last run may have died with the server that is back by now.
  if (!status.ok() && was_open && !session_.open() &&
      Clock::Real().SteadyNow() + std::chrono::milliseconds(50) < deadline) {
    FLEET_RETURN_IF_ERROR(Connect(now, deadline));
    status = AskGroups(options, now, deadline);
  }
  FLEET_RETURN_IF_ERROR(status);
  AskFurther(options, deadline);
  if (session_.open()) AskTables(options, now, deadline);
  if (const auto usable = UsableConnections(answers_); usable.has_value()) {
    usable_connections_ = usable;
  }
  return absl::OkStatus();
}

absl::Status PgServer::Connect(SteadyTime now, SteadyTime deadline) {
  if (refusals_ > kRefusalsAtOnce && now < refused_until_) return refusal_;
  failures_.clear();
  retry_at_.clear();
  absl::Status status = session_.Connect(target_, deadline);
  if (status.ok()) status = Prepare(deadline);
  if (status.ok()) {
    refusals_ = 0;
    return status;
  }
  session_.Close();
  if (absl::IsPermissionDenied(status)) {
    ++refusals_;
    refused_until_ = SteadyAfter(now, kRefusedPause);
    refusal_ = status;
  } else {
    refusals_ = 0;
  }
  return status;
}

absl::Status PgServer::Prepare(SteadyTime deadline) {
  if (session_.server_version() < kPgVersionMin) {
    return absl::UnimplementedError(
        absl::StrCat("PostgreSQL ", session_.server_version() / 10000, " is older than 11"));
  }
  FLEET_RETURN_IF_ERROR(session_.Query(std::string(kSettings), deadline).status());
  FLEET_ASSIGN_OR_RETURN(const PgTable monitor, session_.Query(std::string(kMonitorSql), deadline));
  monitor_ = monitor.rows() == 1 && monitor.True(0, "monitor");
  queries_.clear();
  for (const PgQuery* const query : PgQueriesFor(session_.server_version())) {
    const absl::Status status =
        session_.Query(absl::StrCat("PREPARE fleet_", query->name, " AS ", query->sql), deadline)
            .status();
    if (!session_.open()) return status;
    if (status.ok()) {
      queries_.push_back(query);
    } else {
      failures_[std::string(query->name)] = status;
    }
  }
  return absl::OkStatus();
}

bool PgServer::Due(const PgQuery& query, const PostgresOptions& options, SteadyTime now) const {
  // Sure to fail, and a failure costs the whole batch a round trip; the missing right is told.
  if (query.needs_monitor && !monitor_) return false;
  const std::string name(query.name);
  const auto retry = retry_at_.find(name);
  if (retry != retry_at_.end() && now < retry->second) return false;
  if (query.pace == PgPace::kRun) return true;
  const auto kept = kept_.find(name);
  if (kept == kept_.end()) return true;
  const absl::Duration pace = query.pace == PgPace::kMinute ? kMinutePace : options.sizes_interval;
  return now - kept->second.at >= pace;
}

void PgServer::Fail(absl::string_view group, const absl::Status& error, SteadyTime now) {
  failures_[std::string(group)] = error;
  retry_at_[std::string(group)] = SteadyAfter(now, kGroupRetry);
  kept_.erase(std::string(group));
}

absl::Status PgServer::AskGroups(const PostgresOptions& options, SteadyTime now,
                                 SteadyTime deadline) {
  std::vector<const PgQuery*> quick;
  std::vector<const PgQuery*> slow;
  for (const PgQuery* const query : queries_) {
    if (!Due(*query, options, now)) continue;
    (query->pace == PgPace::kRun ? quick : slow).push_back(query);
  }
  PgAnswers answers;
  FLEET_RETURN_IF_ERROR(Ask(std::move(quick), answers, now, deadline));
  // Where listing files takes too long, only that is unknown: the server has just answered.
  for (const PgQuery* const query : slow) {
    if (!session_.open()) break;
    const absl::Status status = Ask({query}, answers, now, deadline);
    if (!status.ok()) Fail(query->name, absl::DeadlineExceededError(status.message()), now);
  }
  for (const auto& [name, kept] : kept_) answers.Set(name, kept.table, now - kept.at, true);
  answers_ = std::move(answers);
  if (const PgTable* const row = answers_.Row("server")) monitor_ = row->True(0, "monitor");
  return absl::OkStatus();
}

/// One round trip; one more for each group that fails, which then stays out for a while.
absl::Status PgServer::Ask(std::vector<const PgQuery*> due, PgAnswers& answers, SteadyTime now,
                           SteadyTime deadline) {
  while (!due.empty()) {
    std::vector<std::string> batch;
    for (const PgQuery* const query : due) batch.push_back(Execute(*query));
    std::vector<absl::StatusOr<PgTable>> results = session_.QueryBatch(batch, deadline);
    size_t done = 0;
    while (done < results.size() && results[done].ok()) {
      const PgQuery& query = *due[done];
      failures_.erase(std::string(query.name));
      if (query.pace == PgPace::kRun) {
        answers.Set(query.name, *std::move(results[done]));
      } else {
        kept_.insert_or_assign(
            std::string(query.name),
            Kept{std::make_shared<const PgTable>(*std::move(results[done])), now});
      }
      ++done;
    }
    if (!session_.open()) {
      return done < results.size() ? results[done].status()
                                   : absl::UnavailableError("closed the connection");
    }
    if (done < results.size()) Fail(due[done]->name, results[done].status(), now);
    due.erase(due.begin(), due.begin() + static_cast<ptrdiff_t>(std::min(done + 1, due.size())));
  }
  return absl::OkStatus();
}

void PgServer::AskFurther(const PostgresOptions& options, SteadyTime deadline) {
  const PgTable* const sessions = answers_.Find("sessions");
  if (sessions == nullptr) return;
  const PgSessionCounts counts = CountSessions(*sessions);
  const bool busy =
      absl::Seconds(counts.idle_in_transaction_s) >= options.idle_in_transaction_warn ||
      absl::Seconds(counts.oldest_transaction_s) >= options.transaction_warn;
  if (counts.waiting > 0) {
    auto blocked = session_.Query(PgBlockedSql(session_.server_version()), deadline);
    if (blocked.ok()) answers_.Set("blocked", *std::move(blocked));
  }
  if (busy && session_.open()) {
    auto oldest = session_.Query(std::string(PgSessionsSql()), deadline);
    if (oldest.ok()) answers_.Set("busy", *std::move(oldest));
  }
}

void PgServer::AskTables(const PostgresOptions& options, SteadyTime now, SteadyTime deadline) {
  const PgTable* const databases = answers_.Find("databases");
  if (databases == nullptr) return;
  std::string next;
  SteadyTime oldest = SteadyTime::max();
  std::set<std::string> groups;
  const PgColumn datallowconn(databases, "datallowconn");
  const PgColumn datistemplate(databases, "datistemplate");
  const PgColumn names(databases, "datname");
  for (size_t row = 0; row < std::min(databases->rows(), kDatabasesMax); ++row) {
    if (!datallowconn.True(row) || datistemplate.True(row)) continue;
    const std::string datname(names.Text(row));
    const std::string group = absl::StrCat(kPgTablesGroup, datname);
    groups.insert(group);
    const auto found = kept_.find(group);
    const bool known = found != kept_.end();
    const auto retry = retry_at_.find(group);
    if (retry != retry_at_.end() && now < retry->second) continue;
    if (known && now - found->second.at < options.sizes_interval) continue;
    const SteadyTime at = known ? found->second.at : SteadyTime::min();
    if (at < oldest) {
      oldest = at;
      next = datname;
    }
  }
  // What was dropped is gone.
  std::erase_if(kept_, [&groups](const auto& entry) {
    return absl::StartsWith(entry.first, kPgTablesGroup) && groups.count(entry.first) == 0;
  });
  // One database a run, over a connection of its own that ends with the answer.
  if (next.empty()) return;
  const std::string group = absl::StrCat(kPgTablesGroup, next);
  const SteadyTime soon = SteadyAfter(Clock::Real().SteadyNow(), kTablesTimeMax);
  PgSession session(watchdog_);
  PgTarget target = target_;
  target.database = next;
  absl::Status status = session.Connect(target, std::min(soon, deadline));
  if (status.ok()) {
    status = session.Query(std::string(kSettings), std::min(soon, deadline)).status();
  }
  if (status.ok()) {
    auto table = session.Query(std::string(PgTablesSql()), std::min(soon, deadline));
    status = table.status();
    if (table.ok()) {
      const auto kept = std::make_shared<const PgTable>(*std::move(table));
      answers_.Set(group, kept, absl::ZeroDuration(), true);
      kept_.insert_or_assign(group, Kept{kept, now});
    }
  }
  // A database that will not let us in (no CONNECT, full) is not a finding: only its tables stay
  // unseen, and its other numbers come from the shared views.
  if (!status.ok()) {
    retry_at_[group] = SteadyAfter(now, options.sizes_interval);
    kept_.erase(group);
  }
}

}  // namespace fleet::agent
