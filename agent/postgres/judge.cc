#include "agent/postgres/judge.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/units.h"

namespace fleet::agent {

absl::Duration PgSince::For(absl::string_view what) {
  const std::string key = absl::StrCat(prefix_, what);
  seen_.insert(key);
  double seconds = 0;
  const std::string* const kept = memory_.Find(key);
  if (kept != nullptr && absl::SimpleAtod(*kept, &seconds)) {
    // A clock set back must not make the past longer than it was, nor negative.
    return std::max(absl::ZeroDuration(), now_ - absl::FromUnixSeconds(std::llround(seconds)));
  }
  memory_.Set(key, absl::StrCat(absl::ToUnixSeconds(now_)));
  return absl::ZeroDuration();
}

void PgSince::Sweep() {
  std::vector<std::string> gone;
  for (const auto& [key, value] : memory_.entries()) {
    if (absl::StartsWith(key, prefix_) && seen_.count(key) == 0) gone.push_back(key);
  }
  for (const std::string& key : gone) memory_.Erase(key);
  seen_.clear();
}

PgSessionCounts CountSessions(const PgTable& sessions) {
  PgSessionCounts counts;
  const PgColumn backend_type(&sessions, "backend_type");
  const PgColumn datid(&sessions, "datid");
  const PgColumn state(&sessions, "state");
  const PgColumn number(&sessions, "count");
  const PgColumn waiting(&sessions, "waiting");
  const PgColumn transaction_s(&sessions, "max_xact_s");
  const PgColumn idle_s(&sessions, "max_idle_in_xact_s");
  for (size_t row = 0; row < sessions.rows(); ++row) {
    const absl::string_view type = backend_type.Text(row);
    const double count = number.Number(row).value_or(0);
    if (type == "autovacuum worker") counts.autovacuum_workers += count;
    counts.waiting += waiting.Number(row).value_or(0);
    const bool hidden = type.empty() && !datid.Text(row).empty();
    if (type != "client backend" && !hidden) continue;
    counts.clients += count;
    if (state.Text(row) == "idle") counts.idle_clients += count;
    counts.oldest_transaction_s =
        std::max(counts.oldest_transaction_s, transaction_s.Number(row).value_or(0));
    counts.idle_in_transaction_s =
        std::max(counts.idle_in_transaction_s, idle_s.Number(row).value_or(0));
  }
  return counts;
}

std::optional<double> UsableConnections(const PgAnswers& answers) {
  const PgTable* const row = answers.Row("server");
  if (row == nullptr || !row->Number(0, "max_connections").has_value()) return std::nullopt;
  return std::max(1.0, *row->Number(0, "max_connections") -
                           row->Number(0, "superuser_reserved").value_or(0) -
                           row->Number(0, "reserved").value_or(0));
}

namespace {

constexpr absl::Duration kSlotInactiveWarn = absl::Minutes(5);
constexpr double kSlotInactiveWarnBytes = 16 << 20;
constexpr absl::Duration kStandbySilentWarn = absl::Minutes(1);
constexpr absl::Duration kChecksumFresh = absl::Hours(24);
constexpr double kArchiveBacklogWarnFiles = 100;
constexpr double kDeadRowsMin = 100'000;
constexpr double kDatabaseLimitWarnRatio = 0.95;

absl::Duration Span(double seconds) { return absl::Seconds(seconds); }
std::string Human(double seconds) { return HumanDuration(Span(seconds)); }

/// "1.2 G", as transaction ages are counted.
std::string HumanCount(double count) {
  if (count >= 1e9) return absl::StrFormat("%.2f billion", count / 1e9);
  if (count >= 1e6) return absl::StrFormat("%.1f million", count / 1e6);
  return absl::StrFormat("%.0f", count);
}

class Judge {
 public:
  Judge(const PgAnswers& answers, const PostgresOptions& options, PgSince& since)
      : answers_(answers), options_(options), since_(since) {}

  std::vector<Item> All() {
    items_.emplace_back();
    Connections();
    Locks();
    Transactions();
    Databases();
    Archiver();
    Replication();
    Slots();
    Standby();
    Tables();
    Rights();
    items_.front().reason = Summary();
    return std::move(items_);
  }

 private:
  void Add(std::string name, Verdict verdict, std::string reason) {
    Item& item = items_.emplace_back();
    const auto taken = [&](const Item& other) { return &other != &item && other.name == name; };
    if (std::any_of(items_.begin(), items_.end(), taken))
      absl::StrAppend(&name, " #", items_.size());
    item.name = std::move(name);
    item.verdict = verdict;
    item.reason = std::move(reason);
  }

  /// The verdict of a value that is bad from `warn` up and worse from `crit` up.
  template <typename T>
  static Verdict Above(T value, T warn, T crit) {
    return value >= crit ? Verdict::kCrit : value >= warn ? Verdict::kWarn : Verdict::kOk;
  }

  std::string Summary() const {
    std::string text;
    const PgTable* const server = answers_.Row("server");
    if (server != nullptr) {
      absl::string_view version = server->Text(0, "version");
      absl::ConsumePrefix(&version, "PostgreSQL ");
      text = absl::StrCat(OneLine(version.substr(0, version.find(' ')), 20),
                          server->True(0, "in_recovery") ? " standby" : " primary");
    }
    const PgTable* const sessions = answers_.Find("sessions");
    const std::optional<double> usable = UsableConnections(answers_);
    if (sessions != nullptr && usable.has_value()) {
      absl::StrAppendFormat(&text, ", %.0f of %.0f connections", CountSessions(*sessions).clients,
                            *usable);
    }
    if (const PgTable* const wal = answers_.Row("wal"); wal != nullptr) {
      if (const std::optional<double> backup = wal->Number(0, "backup"); backup.has_value()) {
        const absl::Duration age = since_.now() - absl::FromUnixSeconds(std::llround(*backup));
        absl::StrAppend(&text, ", base backup ", HumanDuration(std::max(age, absl::Seconds(1))),
                        " ago");
      }
    }
    return text;
  }

  void Connections() {
    const PgTable* const sessions = answers_.Find("sessions");
    const std::optional<double> usable = UsableConnections(answers_);
    if (sessions == nullptr || !usable.has_value()) return;
    const PgSessionCounts counts = CountSessions(*sessions);
    const Verdict verdict = Above(counts.clients / *usable, options_.connections_warn_ratio,
                                  options_.connections_crit_ratio);
    if (verdict == Verdict::kOk) return;
    Add("connections", verdict,
        absl::StrFormat("%s%.0f of %.0f connections taken, %.0f of them idle",
                        counts.clients >= *usable ? "saturated: " : "", counts.clients, *usable,
                        counts.idle_clients));
  }

  /// "mastodon@mastodon_production (pid 4711, puma)".
  static std::string Who(const PgTable& table, absl::string_view pid, absl::string_view user,
                         absl::string_view database, absl::string_view application) {
    std::string who(OneLine(table.Text(0, user), 40));
    if (!table.Text(0, database).empty()) {
      absl::StrAppend(&who, "@", OneLine(table.Text(0, database), 40));
    }
    absl::StrAppend(&who, " (pid ", OneLine(table.Text(0, pid), 10));
    if (!table.Text(0, application).empty()) {
      absl::StrAppend(&who, ", ", OneLine(table.Text(0, application), 40));
    }
    return absl::StrCat(who, ")");
  }

  void Locks() {
    const PgTable* const blocked = answers_.Row("blocked");
    const PgTable* const sessions = answers_.Find("sessions");
    if (blocked == nullptr || sessions == nullptr) return;
    const double waited_s = blocked->Number(0, "waited_s").value_or(0);
    const Verdict verdict = Above(Span(waited_s), options_.lock_wait_warn, options_.lock_wait_crit);
    if (verdict == Verdict::kOk) return;
    const double waiting = CountSessions(*sessions).waiting;
    std::string reason =
        absl::StrFormat("%.0f %s for a lock, longest %s", waiting,
                        waiting == 1 ? "session waits" : "sessions wait", Human(waited_s));
    if (!blocked->Text(0, "blocker").empty()) {
      absl::StrAppend(&reason, "; held by ",
                      Who(*blocked, "blocker", "blocker_user", "datname", "blocker_application"));
      const absl::string_view state = blocked->Text(0, "blocker_state");
      if (!state.empty()) absl::StrAppend(&reason, ", ", OneLine(state, 40));
      if (const auto open_s = blocked->Number(0, "blocker_s"); open_s.has_value()) {
        absl::StrAppend(&reason, ", transaction open for ", Human(*open_s));
      }
    }
    Add("locks", verdict, std::move(reason));
  }

  /// The session behind a bad number, when the server was asked for it.
  std::string Culprit(absl::string_view kind) const {
    const PgTable* const busy = answers_.Find("busy");
    for (size_t row = 0; busy != nullptr && row < busy->rows(); ++row) {
      if (busy->Text(row, "kind") != kind) continue;
      return absl::StrCat(": ", OneLine(busy->Text(row, "usename"), 40), "@",
                          OneLine(busy->Text(row, "datname"), 40), " (pid ",
                          OneLine(busy->Text(row, "pid"), 10), ", ",
                          OneLine(busy->Text(row, "application_name"), 40), ")");
    }
    return "";
  }

  void Transactions() {
    const PgTable* const sessions = answers_.Find("sessions");
    if (sessions == nullptr) return;
    const PgSessionCounts counts = CountSessions(*sessions);
    if (Span(counts.idle_in_transaction_s) >= options_.idle_in_transaction_warn) {
      Add("idle in transaction", Verdict::kWarn,
          absl::StrCat("idle in an open transaction for ", Human(counts.idle_in_transaction_s),
                       Culprit("idle"), "; it holds its locks and keeps vacuum from cleaning"));
    }
    if (Span(counts.oldest_transaction_s) >= options_.transaction_warn) {
      Add("long transaction", Verdict::kWarn,
          absl::StrCat("a transaction is open for ", Human(counts.oldest_transaction_s),
                       Culprit("transaction"), "; it keeps vacuum from cleaning"));
    }
    const PgTable* const server = answers_.Row("server");
    if (server == nullptr) return;
    const double prepared_s = server->Number(0, "prepared_s").value_or(0);
    if (Span(prepared_s) >= options_.transaction_warn) {
      Add("prepared transactions", Verdict::kWarn,
          absl::StrFormat("%s prepared, the oldest %s ago, and never finished; see "
                          "pg_prepared_xacts, then COMMIT PREPARED or ROLLBACK PREPARED",
                          OneLine(server->Text(0, "prepared"), 20), Human(prepared_s)));
    }
    if (server->Text(0, "autovacuum") == "off") {
      Add("autovacuum", Verdict::kWarn,
          "switched off (autovacuum = off): dead rows pile up until transaction ids run out");
    }
  }

  void Databases() {
    const PgTable* const databases = answers_.Find("databases");
    if (databases == nullptr) return;
    const PgTable* const server = answers_.Row("server");
    const std::optional<double> freeze_max_age =
        server == nullptr ? std::nullopt : server->Number(0, "freeze_max_age");
    const PgColumn names(databases, "datname");
    const PgColumn limits(databases, "datconnlimit");
    const PgColumn backends(databases, "numbackends");
    for (size_t row = 0; row < databases->rows(); ++row) {
      const absl::string_view datname = names.Text(row);
      const std::string name = datname.empty() ? "shared objects" : OneLine(datname, 63);
      Wraparound(*databases, row, name, freeze_max_age);
      Checksums(*databases, row, name);
      const double limit = limits.Number(row).value_or(-1);
      const double used = backends.Number(row).value_or(0);
      if (limit > 0 && used / limit >= kDatabaseLimitWarnRatio) {
        Add(absl::StrCat("connections ", name), Verdict::kWarn,
            absl::StrFormat("%.0f of the %.0f connections this database allows", used, limit));
      }
    }
  }

  void Wraparound(const PgTable& databases, size_t row, const std::string& name,
                  std::optional<double> freeze_max_age) {
    const double xids = databases.Number(row, "xid_age").value_or(0);
    const double mxids = databases.Number(row, "mxid_age").value_or(0);
    const double age = std::max(xids, mxids);
    // Where autovacuum starts late by configuration, twice that is no sooner a sign of trouble.
    const double late = 2 * freeze_max_age.value_or(options_.wraparound_warn_xids);
    const double warn = std::min(options_.wraparound_warn_xids, late);
    const Verdict verdict = Above(age, warn, std::max(warn, options_.wraparound_crit_xids));
    if (verdict == Verdict::kOk) return;
    Add(absl::StrCat("wraparound ", name), verdict,
        absl::StrCat("oldest ", xids >= mxids ? "transaction" : "multixact", " id is ",
                     HumanCount(age),
                     " old; writes stop at 2.1 billion: look for what keeps "
                     "VACUUM from freezing (old transactions, slots, prepared transactions)"));
  }

  void Checksums(const PgTable& databases, size_t row, const std::string& name) {
    const double failures = databases.Number(row, "checksum_failures").value_or(0);
    if (failures <= 0) return;
    const std::optional<double> last = databases.Number(row, "checksum_last_failure");
    const absl::Duration age = last.has_value()
                                   ? since_.now() - absl::FromUnixSeconds(std::llround(*last))
                                   : absl::ZeroDuration();
    Add(absl::StrCat("checksums ", name), age < kChecksumFresh ? Verdict::kCrit : Verdict::kWarn,
        absl::StrFormat("%.0f pages failed their checksum, the last %s ago: disk, controller or "
                        "memory damages data; check the backups",
                        failures, HumanDuration(std::max(age, absl::Seconds(1)))));
  }

  void Archiver() {
    const PgTable* const archiver = answers_.Row("archiver");
    const PgTable* const server = answers_.Row("server");
    if (archiver == nullptr || server == nullptr) return;
    if (server->Text(0, "archive_mode") == "off") return;
    const PgTable* const backlog = answers_.Row("archive_backlog");
    const double ready = backlog == nullptr ? 0 : backlog->Number(0, "ready").value_or(0);
    std::string waiting;
    if (ready > 0) waiting = absl::StrFormat(", %.0f files wait", ready);
    if (archiver->True(0, "failing")) {
      const absl::Duration failing = since_.For("archiver");
      const std::optional<double> last = archiver->Number(0, "la");
      Add("archiver", failing >= options_.archiver_failing_crit ? Verdict::kCrit : Verdict::kWarn,
          absl::StrCat("archive_command fails for ",
                       OneLine(archiver->Text(0, "last_failed_wal"), 60),
                       last.has_value() ? absl::StrCat(", last success ", Human(*last), " ago")
                                        : std::string(", never succeeded"),
                       waiting, "; backups cannot be rolled forward and WAL fills the disk"));
    } else if (ready >= kArchiveBacklogWarnFiles) {
      Add("archiver", Verdict::kWarn,
          absl::StrFormat("%.0f WAL files wait to be archived: slower than writes", ready));
    }
  }

  void Replication() {
    const PgTable* const table = answers_.Find("replication");
    for (size_t row = 0; table != nullptr && row < table->rows(); ++row) {
      const absl::string_view state = table->Text(row, "state");
      // Without pg_monitor there is a row but nothing in it; a backup is no standby.
      if (state.empty() || state == "backup") continue;
      const std::string name =
          absl::StrCat("standby ", OneLine(table->Text(row, "application_name"), 63),
                       table->Text(row, "client_addr").empty() ? "" : "@",
                       OneLine(table->Text(row, "client_addr"), 45));
      const std::optional<double> behind_b = table->Number(row, "replay_lag_b");
      const absl::Duration lag = Span(table->Number(row, "rl").value_or(0));
      const absl::Duration silent = Span(table->Number(row, "reply_age").value_or(0));
      const std::string bytes = behind_b.has_value() ? HumanBytes(*behind_b) : "unknown bytes";
      if (state != "streaming") {
        const absl::Duration age = since_.For(name);
        Add(name, age >= options_.replay_lag_crit ? Verdict::kWarn : Verdict::kOk,
            absl::StrCat(OneLine(state, 20), ", ", bytes, " behind"));
      } else if (silent >= kStandbySilentWarn) {
        Add(name, Verdict::kWarn,
            absl::StrCat("says nothing for ", HumanDuration(silent), ", ", bytes, " behind"));
      } else {
        Add(name, Above(lag, options_.replay_lag_warn, options_.replay_lag_crit),
            absl::StrCat(OneLine(table->Text(row, "sync_state"), 20), ", ", bytes, " behind",
                         lag >= options_.replay_lag_warn
                             ? absl::StrCat(", replays ", HumanDuration(lag), " late")
                             : std::string()));
      }
    }
  }

  void Slots() {
    const PgTable* const table = answers_.Find("slots");
    for (size_t row = 0; table != nullptr && row < table->rows(); ++row) {
      const std::string name = absl::StrCat("slot ", OneLine(table->Text(row, "slot_name"), 63));
      const absl::string_view wal_status = table->Text(row, "wal_status");
      const double retained_b = table->Number(row, "retained_b").value_or(0);
      const std::string held =
          absl::StrCat("holds back ", HumanBytes(std::max(0.0, retained_b)), " of WAL");
      if (wal_status == "lost") {
        Add(name, Verdict::kCrit,
            "lost: its WAL is gone; rebuild what it fed, then pg_drop_replication_slot");
        continue;
      }
      Verdict verdict = Above(retained_b, static_cast<double>(options_.slot_retained_warn_bytes),
                              static_cast<double>(options_.slot_retained_crit_bytes));
      std::string reason = held;
      if (wal_status == "unreserved") {
        verdict = Verdict::kCrit;
        absl::StrAppend(&reason, " and is about to lose it (max_slot_wal_keep_size)");
      } else if (wal_status == "extended") {
        verdict = Worse(verdict, Verdict::kWarn);
        absl::StrAppend(&reason, ", more than max_wal_size");
      }
      if (!table->True(row, "active")) {
        const absl::Duration inactive = since_.For(name);
        if (inactive >= kSlotInactiveWarn || retained_b >= kSlotInactiveWarnBytes) {
          verdict = Worse(verdict, Verdict::kWarn);
        }
        reason = absl::StrCat("inactive, ", reason);
        if (verdict != Verdict::kOk) {
          absl::StrAppend(&reason, ": start what reads it, or pg_drop_replication_slot");
        }
      }
      Add(name, verdict, std::move(reason));
    }
  }

  void Standby() {
    const PgTable* const row = answers_.Row("standby");
    if (row == nullptr) return;
    const absl::Duration delay = Span(row->Number(0, "replay_delay_s").value_or(0));
    const std::string behind = HumanBytes(row->Number(0, "replay_b").value_or(0));
    if (row->Text(0, "receiver") != "streaming") {
      const absl::Duration age = since_.For("replication");
      Add("replication", age >= options_.replay_lag_crit ? Verdict::kCrit : Verdict::kWarn,
          absl::StrCat("does not stream from its primary",
                       age > absl::ZeroDuration() ? absl::StrCat(" for ", HumanDuration(age)) : "",
                       row->Text(0, "receiver").empty()
                           ? std::string(": no WAL receiver")
                           : absl::StrCat(": ", OneLine(row->Text(0, "receiver"), 20))));
    } else if (row->True(0, "paused")) {
      Add("replication", Verdict::kWarn,
          absl::StrCat("replay is paused, ", behind, " behind: SELECT pg_wal_replay_resume();"));
    } else {
      Add("replication", Above(delay, options_.replay_lag_warn, options_.replay_lag_crit),
          absl::StrCat("streaming, ", behind, " to replay",
                       delay >= options_.replay_lag_warn
                           ? absl::StrCat(", ", HumanDuration(delay), " behind")
                           : std::string()));
    }
  }

  void Tables() {
    for (const PgAnswers::Answer& answer : answers_.all()) {
      absl::string_view datname = answer.name;
      if (!absl::ConsumePrefix(&datname, kPgTablesGroup) || answer.table->rows() != 1) continue;
      const PgTable& table = *answer.table;
      const double dead = table.Number(0, "n_dead_tup").value_or(0);
      const double live = table.Number(0, "n_live_tup").value_or(0);
      // Autovacuum starts at 20 % dead; as many dead as live means that it cannot keep up.
      if (dead < kDeadRowsMin || dead < live) continue;
      const std::optional<double> vacuum_s = table.Number(0, "vacuum_s");
      Add(absl::StrCat("vacuum ", OneLine(datname, 63)), Verdict::kWarn,
          absl::StrCat(
              OneLine(table.Text(0, "schemaname"), 63), ".", OneLine(table.Text(0, "relname"), 63),
              " has ", HumanCount(dead), " dead rows beside ", HumanCount(live), " live, ",
              vacuum_s.has_value() ? absl::StrCat("last vacuumed ", Human(*vacuum_s), " ago")
                                   : std::string("never vacuumed")));
    }
  }

  void Rights() {
    const PgTable* const server = answers_.Row("server");
    if (server == nullptr || server->True(0, "monitor")) return;
    const std::string role = OneLine(server->Text(0, "role"), 63);
    Add("rights", Verdict::kUnknown,
        absl::StrCat("sees only its own sessions: as postgres run GRANT pg_monitor TO ", role,
                     ";"));
    items_.back().unknown = UnknownKind::kBlind;
  }

  const PgAnswers& answers_;
  const PostgresOptions& options_;
  PgSince& since_;
  std::vector<Item> items_;
};

}  // namespace

std::vector<Item> JudgePostgres(const PgAnswers& answers, const PostgresOptions& options,
                                PgSince& since) {
  return Judge(answers, options, since).All();
}

}  // namespace fleet::agent
