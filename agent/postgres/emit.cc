#include "agent/postgres/emit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/postgres/metrics.h"

namespace fleet::agent {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// The rows postgres_exporter makes up where nobody holds such a lock or is in such a state.
constexpr absl::string_view kLockModes[] = {
    "accesssharelock", "rowsharelock",          "rowexclusivelock", "shareupdateexclusivelock",
    "sharelock",       "sharerowexclusivelock", "exclusivelock",    "accessexclusivelock",
    "sireadlock"};
constexpr absl::string_view kStates[] = {"active",
                                         "idle",
                                         "idle in transaction",
                                         "idle in transaction (aborted)",
                                         "fastpath function call",
                                         "disabled"};

template <size_t N>
std::optional<size_t> IndexOf(const absl::string_view (&words)[N], absl::string_view word) {
  const auto* const found = std::find(std::begin(words), std::end(words), word);
  if (found == std::end(words)) return std::nullopt;
  return static_cast<size_t>(found - words);
}

class Emitter {
 public:
  Emitter(const PgAnswers& answers, absl::string_view server, CheckRun& run)
      : answers_(answers), server_(server), run_(run) {}

  void All() {
    Server();
    Databases();
    PerServer("bgwriter", PgFamiliesOf("pg_stat_bgwriter_"), "_total");
    Archiver();
    Sizes();
    Locks();
    Sessions();
    Replication();
    Slots();
    Standby();
    Backups();
    Tables();
  }

 private:
  void Add(const MetricDesc& desc, double value) { run_.Add(desc, {{"server", server_}}, value); }
  void AddIf(const MetricDesc& desc, std::optional<double> value) {
    if (value.has_value()) Add(desc, *value);
  }

  void Server() {
    const PgTable* const row = answers_.Row("server");
    if (row == nullptr) return;
    AddIf(PgMetric("pg_settings_max_connections"), row->Number(0, "max_connections"));
    const absl::string_view version = row->Text(0, "version");
    run_.Add(PgMetric("pg_static"),
             {{"server", server_}, {"short_version", ShortVersion(version)}, {"version", version}},
             1);
    AddIf(PgMetric("fleet_postgres_connections_max"), UsableConnections(answers_));
    AddIf(PgMetric("fleet_postgres_start_timestamp_seconds"), row->Number(0, "start"));
    AddIf(PgMetric("fleet_postgres_in_recovery"), row->Number(0, "in_recovery"));
    AddIf(PgMetric("fleet_postgres_prepared_transactions"), row->Number(0, "prepared"));
    Add(PgMetric("fleet_postgres_oldest_prepared_transaction_seconds"),
        row->Number(0, "prepared_s").value_or(0));
  }

  /// "PostgreSQL 15.20 (Debian …" as the semantic version "15.20.0".
  static std::string ShortVersion(absl::string_view version) {
    absl::ConsumePrefix(&version, "PostgreSQL ");
    const size_t end = std::min(version.find_first_not_of("0123456789."), version.size());
    std::string number(version.substr(0, end));
    for (auto dots = std::count(number.begin(), number.end(), '.'); dots < 2; ++dots) {
      number += ".0";
    }
    return number;
  }

  /// One sample per row for every one of `families` that is their prefix, a column, `suffix`.
  template <typename Labels>
  void Columns(const PgTable& table, PgFamilies families, absl::string_view suffix, Labels labels) {
    for (const MetricDesc& desc : families.metrics) {
      absl::string_view name = desc.name.substr(families.prefix_size);
      if (!absl::ConsumeSuffix(&name, suffix)) continue;
      const std::optional<size_t> column = table.Column(name);
      if (!column.has_value()) continue;
      for (size_t row = 0; row < table.rows(); ++row) {
        labels(desc, row, PgTable::ToNumber(table.At(row, *column)));
      }
    }
  }

  void PerServer(absl::string_view group, PgFamilies families, absl::string_view suffix) {
    const PgTable* const table = answers_.Row(group);
    if (table == nullptr) return;
    Columns(*table, families, suffix,
            [this](const MetricDesc& desc, size_t, std::optional<double> value) {
              Add(desc, value.value_or(kNan));
            });
  }

  void Databases() {
    const PgTable* const table = answers_.Find("databases");
    if (table == nullptr) return;
    const PgColumn datid(table, "datid");
    const PgColumn datname(table, "datname");
    std::vector<std::array<Label, 3>> labels;  // by row
    labels.reserve(table->rows());
    for (size_t row = 0; row < table->rows(); ++row) {
      labels.push_back({Label{"datid", datid.Text(row)}, Label{"datname", datname.Text(row)},
                        Label{"server", server_}});
    }
    Columns(*table, PgFamiliesOf("pg_stat_database_"), "",
            [&](const MetricDesc& desc, size_t row, std::optional<double> value) {
              run_.Add(desc, labels[row], value.value_or(kNan));
            });
    Columns(*table, PgFamiliesOf("pg_stat_database_conflicts_"), "",
            [&](const MetricDesc& desc, size_t row, std::optional<double> value) {
              // Objects shared by all databases (datid 0) have no conflicts of their own.
              if (labels[row][0].value == "0") return;
              run_.Add(desc, labels[row], value.value_or(kNan));
            });
    Columns(*table, PgFamiliesOf("fleet_postgres_"), "",
            [&](const MetricDesc& desc, size_t row, std::optional<double> value) {
              if (!value.has_value()) return;
              run_.Add(desc, absl::MakeConstSpan(labels[row]).subspan(1), *value);
            });
  }

  void Archiver() {
    const PgTable* const row = answers_.Row("archiver");
    if (row == nullptr) return;
    PerServer("archiver", PgFamiliesOf("pg_stat_archiver_"), "");
    Add(PgMetric("pg_stat_archiver_last_archive_age"), row->Number(0, "la").value_or(kNan));
    Add(PgMetric("fleet_postgres_archiver_failing"), row->True(0, "failing") ? 1 : 0);
    if (const PgTable* const backlog = answers_.Row("archive_backlog")) {
      AddIf(PgMetric("fleet_postgres_archive_ready_files"), backlog->Number(0, "ready"));
    }
  }

  void Sizes() {
    if (const PgTable* const sizes = answers_.Find("sizes")) {
      const PgColumn size(sizes, "bytes");
      const PgColumn datname(sizes, "datname");
      for (size_t row = 0; row < sizes->rows(); ++row) {
        const std::optional<double> bytes = size.Number(row);
        if (!bytes.has_value()) continue;
        run_.Add(PgMetric("pg_database_size_bytes"),
                 {{"datname", datname.Text(row)}, {"server", server_}}, *bytes);
      }
    }
    for (const PgAnswers::Answer& answer : answers_.all()) {
      if (!answer.slow) continue;
      run_.Add(PgMetric("fleet_postgres_group_age_seconds"),
               {{"group", answer.name}, {"server", server_}}, absl::ToDoubleSeconds(answer.age));
    }
  }

  void Locks() {
    const PgTable* const locks = answers_.Find("locks");
    const PgTable* const databases = answers_.Find("databases");
    if (locks == nullptr || databases == nullptr) return;
    const PgColumn mode(locks, "mode");
    const PgColumn count(locks, "count");
    const PgColumn lock_datid(locks, "datid");
    const PgColumn datid(databases, "datid");
    const PgColumn datname(databases, "datname");
    for (size_t row = 0; row < databases->rows(); ++row) {
      if (datid.Text(row) == "0") continue;
      std::array<double, std::size(kLockModes)> counts{};
      for (size_t lock = 0; lock < locks->rows(); ++lock) {
        if (lock_datid.Text(lock) != datid.Text(row)) continue;
        const std::optional<size_t> i = IndexOf(kLockModes, mode.Text(lock));
        if (i.has_value()) counts[*i] = count.Number(lock).value_or(0);
      }
      for (size_t i = 0; i < std::size(kLockModes); ++i) {
        run_.Add(PgMetric("pg_locks_count"),
                 {{"datname", datname.Text(row)}, {"mode", kLockModes[i]}, {"server", server_}},
                 counts[i]);
      }
    }
  }

  void Sessions() {
    const PgTable* const sessions = answers_.Find("sessions");
    if (sessions == nullptr) return;
    const PgSessionCounts counts = CountSessions(*sessions);
    Add(PgMetric("fleet_postgres_connections"), counts.clients);
    Add(PgMetric("fleet_postgres_waiting_sessions"), counts.waiting);
    Add(PgMetric("fleet_postgres_oldest_transaction_seconds"), counts.oldest_transaction_s);
    Add(PgMetric("fleet_postgres_oldest_idle_in_transaction_seconds"),
        counts.idle_in_transaction_s);
    Add(PgMetric("fleet_postgres_autovacuum_workers"), counts.autovacuum_workers);
    const PgTable* const blocked = answers_.Row("blocked");
    const std::optional<double> waited =
        blocked == nullptr ? std::nullopt : blocked->Number(0, "waited_s");
    Add(PgMetric("fleet_postgres_lock_wait_seconds"), waited.value_or(0));
    if (const PgTable* const databases = answers_.Find("databases")) {
      Activity(*sessions, *databases, "count", PgMetric("pg_stat_activity_count"));
      Activity(*sessions, *databases, "max_xact_s", PgMetric("pg_stat_activity_max_tx_duration"));
    }
  }

  void Activity(const PgTable& sessions, const PgTable& databases, absl::string_view column,
                const MetricDesc& desc) {
    const PgColumn state(&sessions, "state");
    const PgColumn number(&sessions, column);
    const PgColumn session_datid(&sessions, "datid");
    const PgColumn datid(&databases, "datid");
    const PgColumn datname(&databases, "datname");
    for (size_t row = 0; row < databases.rows(); ++row) {
      if (datid.Text(row) == "0") continue;
      std::array<double, std::size(kStates)> values{};
      for (size_t session = 0; session < sessions.rows(); ++session) {
        if (session_datid.Text(session) != datid.Text(row)) continue;
        const std::optional<size_t> i = IndexOf(kStates, state.Text(session));
        if (!i.has_value()) continue;
        const double add = number.Number(session).value_or(0);
        values[*i] = column == "count" ? values[*i] + add : std::max(values[*i], add);
      }
      for (size_t i = 0; i < std::size(kStates); ++i) {
        run_.Add(desc, {{"datname", datname.Text(row)}, {"server", server_}, {"state", kStates[i]}},
                 values[i]);
      }
    }
  }

  void Replication() {
    const PgTable* const table = answers_.Find("replication");
    if (table == nullptr) return;
    const auto add = [&](const MetricDesc& desc, absl::string_view column) {
      for (size_t row = 0; row < table->rows(); ++row) {
        // postgres_exporter names the sender's process id slot_name.
        run_.Add(desc,
                 {{"application_name", table->Text(row, "application_name")},
                  {"client_addr", table->Text(row, "client_addr")},
                  {"server", server_},
                  {"slot_name", table->Text(row, "pid")},
                  {"state", table->Text(row, "state")}},
                 table->Number(row, column).value_or(kNan));
      }
    };
    add(PgMetric("pg_stat_replication_pg_current_wal_lsn_bytes"), "here_b");
    add(PgMetric("pg_stat_replication_pg_wal_lsn_diff"), "replay_lag_b");
    if (table->Column("reply_time").has_value()) {
      add(PgMetric("pg_stat_replication_reply_time"), "reply_time");
    }
    const auto own = [&](const MetricDesc& desc, absl::string_view column) {
      std::map<std::pair<absl::string_view, absl::string_view>, double> worst;
      for (size_t row = 0; row < table->rows(); ++row) {
        const std::optional<double> value = table->Number(row, column);
        if (!value.has_value()) continue;
        double& kept =
            worst[{table->Text(row, "application_name"), table->Text(row, "client_addr")}];
        kept = std::max(kept, *value);
      }
      for (const auto& [standby, value] : worst) {
        run_.Add(desc,
                 {{"application_name", standby.first},
                  {"client_addr", standby.second},
                  {"server", server_}},
                 value);
      }
    };
    own(PgMetric("fleet_postgres_replica_replay_lag_bytes"), "replay_lag_b");
    own(PgMetric("fleet_postgres_replica_replay_lag_seconds"), "rl");
  }

  void Slots() {
    const PgTable* const table = answers_.Find("slots");
    if (table == nullptr) return;
    const auto add = [&](const MetricDesc& desc, absl::string_view column) {
      for (size_t row = 0; row < table->rows(); ++row) {
        run_.Add(desc,
                 {{"database", table->Text(row, "database")},
                  {"server", server_},
                  {"slot_name", table->Text(row, "slot_name")}},
                 table->Number(row, column).value_or(kNan));
      }
    };
    add(PgMetric("pg_replication_slots_active"), "active");
    add(PgMetric("pg_replication_slots_pg_wal_lsn_diff"), "retained_b");
  }

  void Standby() {
    const PgTable* const row = answers_.Row("standby");
    if (row == nullptr) return;
    Add(PgMetric("fleet_postgres_standby_receiving"),
        row->Text(0, "receiver") == "streaming" ? 1 : 0);
    AddIf(PgMetric("fleet_postgres_standby_replay_lag_bytes"), row->Number(0, "replay_b"));
    AddIf(PgMetric("fleet_postgres_standby_replay_lag_seconds"), row->Number(0, "replay_delay_s"));
  }

  void Backups() {
    if (const PgTable* const row = answers_.Row("base_backup")) {
      AddIf(PgMetric("fleet_postgres_base_backups_running"), row->Number(0, "running"));
    }
    if (const PgTable* const row = answers_.Row("wal")) {
      AddIf(PgMetric("fleet_postgres_wal_bytes"), row->Number(0, "bytes"));
      AddIf(PgMetric("fleet_postgres_last_base_backup_timestamp_seconds"),
            row->Number(0, "backup"));
    }
  }

  void Tables() {
    const auto add = [&](const MetricDesc& desc, absl::string_view column) {
      for (const PgAnswers::Answer& answer : answers_.all()) {
        absl::string_view datname = answer.name;
        if (!absl::ConsumePrefix(&datname, kPgTablesGroup) || answer.table->rows() != 1) continue;
        run_.Add(desc, {{"datname", datname}, {"server", server_}},
                 answer.table->Number(0, column).value_or(0));
      }
    };
    add(PgMetric("fleet_postgres_live_rows"), "live");
    add(PgMetric("fleet_postgres_dead_rows"), "dead");
  }

  const PgAnswers& answers_;
  const absl::string_view server_;
  CheckRun& run_;
};

}  // namespace

void EmitPostgres(const PgAnswers& answers, absl::string_view server, CheckRun& run) {
  Emitter(answers, server, run).All();
}

}  // namespace fleet::agent
