#include "collector/probes/probe_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "collector/probes/probe_rows.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE checks(
         token TEXT PRIMARY KEY,
         created_at INTEGER NOT NULL,
         pulse_key TEXT NOT NULL,
         definition TEXT NOT NULL);
       CREATE TABLE known(
         token TEXT PRIMARY KEY,
         created_at INTEGER NOT NULL,
         pulse_key TEXT NOT NULL);
       CREATE TABLE states(
         token TEXT PRIMARY KEY,
         state TEXT NOT NULL);
       CREATE TABLE downtimes(
         id TEXT PRIMARY KEY,
         token TEXT NOT NULL,
         error TEXT NOT NULL,
         started_at INTEGER NOT NULL,
         ended_at INTEGER,
         partial INTEGER,
         caused_by TEXT NOT NULL);
       CREATE INDEX downtimes_by_token ON downtimes(token, started_at);
       CREATE INDEX downtimes_by_start ON downtimes(started_at);
       CREATE TABLE counts(
         token TEXT NOT NULL,
         vantage TEXT NOT NULL,
         level INTEGER NOT NULL,
         start INTEGER NOT NULL,
         samples INTEGER NOT NULL, failures INTEGER NOT NULL,
         u0 INTEGER NOT NULL, u1 INTEGER NOT NULL, u2 INTEGER NOT NULL, u3 INTEGER NOT NULL,
         u4 INTEGER NOT NULL, u5 INTEGER NOT NULL, u6 INTEGER NOT NULL, u7 INTEGER NOT NULL,
         u8 INTEGER NOT NULL,
         redirect REAL NOT NULL, namelookup REAL NOT NULL, connection REAL NOT NULL,
         handshake REAL NOT NULL, response REAL NOT NULL, total REAL NOT NULL,
         PRIMARY KEY(token, level, start, vantage)) WITHOUT ROWID;
       CREATE INDEX counts_by_start ON counts(level, start);
       CREATE TABLE events(
         id INTEGER PRIMARY KEY AUTOINCREMENT,
         kind TEXT NOT NULL,
         time INTEGER NOT NULL,
         token TEXT NOT NULL,
         event TEXT NOT NULL);)",
    "ALTER TABLE downtimes ADD COLUMN looks TEXT NOT NULL DEFAULT '';",
};

// What is added up when counts meet.
#define FLEET_COUNTS_ADDED                                                                    \
  " ON CONFLICT(token, level, start, vantage) DO UPDATE SET samples = samples + "             \
  "excluded.samples, failures = failures + excluded.failures, u0 = u0 + excluded.u0, "        \
  "u1 = u1 + excluded.u1, u2 = u2 + excluded.u2, u3 = u3 + excluded.u3, u4 = u4 + "           \
  "excluded.u4, u5 = u5 + excluded.u5, u6 = u6 + excluded.u6, u7 = u7 + excluded.u7, "        \
  "u8 = u8 + excluded.u8, redirect = redirect + excluded.redirect, namelookup = namelookup "  \
  "+ excluded.namelookup, connection = connection + excluded.connection, handshake = "        \
  "handshake + excluded.handshake, response = response + excluded.response, total = total + " \
  "excluded.total"
#define FLEET_COUNTS_SUMS                                                                        \
  "SUM(samples), SUM(failures), SUM(u0), SUM(u1), SUM(u2), SUM(u3), SUM(u4), SUM(u5), SUM(u6), " \
  "SUM(u7), SUM(u8), SUM(redirect), SUM(namelookup), SUM(connection), SUM(handshake), "          \
  "SUM(response), SUM(total)"
#define FLEET_COUNTS_COLUMNS                                                                  \
  "samples, failures, u0, u1, u2, u3, u4, u5, u6, u7, u8, redirect, namelookup, connection, " \
  "handshake, response, total"

constexpr const char* kAddCounts =
    "INSERT INTO counts(token, vantage, level, start, " FLEET_COUNTS_COLUMNS
    ") VALUES(?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" FLEET_COUNTS_ADDED;
constexpr const char* kFoldHours =
    "INSERT INTO counts(token, vantage, level, start, " FLEET_COUNTS_COLUMNS
    ") SELECT token, vantage, 1, start - start % 86400 AS day, " FLEET_COUNTS_SUMS
    " FROM counts WHERE level = 0 AND start < ? GROUP BY token, vantage, day" FLEET_COUNTS_ADDED;
constexpr const char* kFoldDays =
    "INSERT INTO counts(token, vantage, level, start, " FLEET_COUNTS_COLUMNS
    ") SELECT token, vantage, 2, CAST(strftime('%s', start, 'unixepoch', 'start of month') AS "
    "INTEGER) AS month, " FLEET_COUNTS_SUMS
    " FROM counts WHERE level = 1 AND start < ? GROUP BY token, vantage, month" FLEET_COUNTS_ADDED;
constexpr const char* kCountsOfOne =
    "SELECT token, vantage, start, " FLEET_COUNTS_COLUMNS
    " FROM counts WHERE token = ? AND start >= ? AND start < ? ORDER BY start";
constexpr const char* kCountsOfAll =
    "SELECT token, vantage, start, " FLEET_COUNTS_COLUMNS
    " FROM counts WHERE level = 0 AND start >= ? AND start < ? ORDER BY start";

#define FLEET_DOWNTIME "SELECT id, token, error, started_at, ended_at, partial, caused_by, looks"

Downtime ToDowntime(const SqlRow& row) {
  Downtime downtime;
  downtime.id = row.Text(0);
  downtime.token = row.Text(1);
  downtime.error = row.Text(2);
  downtime.started_at = row.Time(3);
  if (!row.IsNull(4)) downtime.ended_at = row.Time(4);
  if (!row.IsNull(5)) downtime.partial = row.Int(5) != 0;
  downtime.caused_by = row.Text(6);
  v1::StoredLooks looks;
  FromText(row.Text(7), looks);
  SetLooks(looks, downtime);
  return downtime;
}

CountRow ToCount(const SqlRow& row) {
  CountRow count;
  count.vantage = row.Text(1);
  count.start = absl::FromUnixSeconds(row.Int(2));
  ProbeMetrics& metrics = count.metrics;
  metrics.samples = row.Int(3);
  metrics.failures = row.Int(4);
  for (size_t i = 0; i < metrics.under.size(); ++i) {
    metrics.under[i] = row.Int(5 + static_cast<int>(i));
  }
  metrics.redirect = row.Double(14);
  metrics.namelookup = row.Double(15);
  metrics.connection = row.Double(16);
  metrics.handshake = row.Double(17);
  metrics.response = row.Double(18);
  metrics.total = row.Double(19);
  return count;
}

absl::Time MonthOf(absl::Time time) {
  const absl::CivilMonth month = absl::ToCivilMonth(time, absl::UTCTimeZone());
  return absl::FromCivil(month, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProbeStore>> ProbeStore::Open(const std::string& path) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kFull, kMigrations));
  return std::unique_ptr<ProbeStore>(new ProbeStore(std::move(database)));
}

// ---- definitions ----------------------------------------------------------------------------

absl::StatusOr<std::vector<ProbeCheck>> ProbeStore::Checks() {
  MutexLock lock(mutex_);
  std::vector<ProbeCheck> checks;
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT token, created_at, pulse_key, definition FROM checks ORDER BY created_at, rowid", {},
      [&](const SqlRow& row) {
        v1::StoredCheck stored;
        FromText(row.Text(3), stored);
        ProbeCheck& check = checks.emplace_back();
        FromStored(stored, check);
        check.token = row.Text(0);
        check.created_at = row.Time(1);
        check.pulse_key = row.Text(2);
      }));
  return checks;
}

absl::Status ProbeStore::PutCheck(const ProbeCheck& check) {
  MutexLock lock(mutex_);
  return database_
      ->Run(
          "INSERT INTO checks(token, created_at, pulse_key, definition) VALUES(?, ?, ?, ?) "
          "ON CONFLICT(token) DO UPDATE SET definition = excluded.definition",
          {check.token, check.created_at, check.pulse_key, ToText(ToStored(check))})
      .status();
}

absl::Status ProbeStore::RemoveCheck(absl::string_view token) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(auto transaction, Database::Transaction::Begin(*database_));
  for (const char* sql :
       {"DELETE FROM checks WHERE token = ?", "DELETE FROM states WHERE token = ?",
        "DELETE FROM downtimes WHERE token = ?", "DELETE FROM counts WHERE token = ?"}) {
    FLEET_RETURN_IF_ERROR(database_->Run(sql, {token}).status());
  }
  return transaction.Commit();
}

absl::StatusOr<std::map<std::string, KnownProbe>> ProbeStore::Known() {
  MutexLock lock(mutex_);
  std::map<std::string, KnownProbe> known;
  FLEET_RETURN_IF_ERROR(database_->Query("SELECT token, created_at, pulse_key FROM known", {},
                                         [&](const SqlRow& row) {
                                           known[row.Text(0)] = {row.Text(2), row.Time(1)};
                                         }));
  return known;
}

absl::Status ProbeStore::PutKnown(const std::map<std::string, KnownProbe>& known) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(auto transaction, Database::Transaction::Begin(*database_));
  for (const auto& [token, probe] : known) {
    FLEET_RETURN_IF_ERROR(
        database_
            ->Run("INSERT OR REPLACE INTO known(token, created_at, pulse_key) VALUES(?, ?, ?)",
                  {token, probe.created_at, probe.pulse_key})
            .status());
  }
  return transaction.Commit();
}

// ---- what happens ---------------------------------------------------------------------------

absl::Status ProbeStore::Put(const Downtime& downtime) {
  const SqlValue ended =
      downtime.ended_at.has_value() ? SqlValue(*downtime.ended_at) : SqlValue(nullptr);
  const SqlValue partial =
      downtime.partial.has_value() ? SqlValue(*downtime.partial) : SqlValue(nullptr);
  return database_
      ->Run(
          "INSERT OR REPLACE INTO downtimes(id, token, error, started_at, ended_at, partial, "
          "caused_by, looks) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
          {downtime.id, downtime.token, downtime.error, downtime.started_at, ended, partial,
           downtime.caused_by, ToText(LooksOf(downtime))})
      .status();
}

absl::Status ProbeStore::Put(const ProbeEvent& event) {
  return database_
      ->Run("INSERT INTO events(kind, time, token, event) VALUES(?, ?, ?, ?)",
            {event.kind, event.time, event.token, ToText(ToStored(event))})
      .status();
}

absl::Status ProbeStore::Put(const CountKey& key, const ProbeMetrics& m) {
  const auto& u = m.under;
  return database_
      ->Run(kAddCounts, {key.token,    key.vantage,  absl::ToUnixSeconds(key.hour),
                         m.samples,    m.failures,   u[0],
                         u[1],         u[2],         u[3],
                         u[4],         u[5],         u[6],
                         u[7],         u[8],         m.redirect,
                         m.namelookup, m.connection, m.handshake,
                         m.response,   m.total})
      .status();
}

absl::Status ProbeStore::Commit(const ProbeBatch& batch, const std::function<void()>& done) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(auto transaction, Database::Transaction::Begin(*database_));
  for (const auto& [id, downtime] : batch.downtimes) FLEET_RETURN_IF_ERROR(Put(downtime));
  for (const ProbeEvent& event : batch.events) FLEET_RETURN_IF_ERROR(Put(event));
  for (const auto& [token, state] : batch.states) {
    FLEET_RETURN_IF_ERROR(database_
                              ->Run("INSERT OR REPLACE INTO states(token, state) VALUES(?, ?)",
                                    {token, ToText(state)})
                              .status());
  }
  for (const auto& [key, metrics] : batch.counts) FLEET_RETURN_IF_ERROR(Put(key, metrics));
  FLEET_RETURN_IF_ERROR(transaction.Commit());
  if (done) done();
  return absl::OkStatus();
}

absl::StatusOr<std::map<std::string, v1::StoredState>> ProbeStore::States() {
  MutexLock lock(mutex_);
  std::map<std::string, v1::StoredState> states;
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT token, state FROM states", {},
                       [&](const SqlRow& row) { FromText(row.Text(1), states[row.Text(0)]); }));
  return states;
}

// ---- what was -------------------------------------------------------------------------------

absl::StatusOr<std::vector<Downtime>> ProbeStore::Downtimes(absl::string_view token, size_t offset,
                                                            size_t limit) {
  MutexLock lock(mutex_);
  std::vector<Downtime> downtimes;
  const auto add = [&](const SqlRow& row) { downtimes.push_back(ToDowntime(row)); };
  const auto from = static_cast<int64_t>(offset);
  const auto count = static_cast<int64_t>(limit);
  FLEET_RETURN_IF_ERROR(
      token.empty()
          ? database_->Query(FLEET_DOWNTIME
                             " FROM downtimes ORDER BY started_at DESC, id LIMIT ? OFFSET ?",
                             {count, from}, add)
          : database_->Query(FLEET_DOWNTIME
                             " FROM downtimes WHERE token = ? ORDER BY started_at DESC, id "
                             "LIMIT ? OFFSET ?",
                             {token, count, from}, add));
  return downtimes;
}

absl::StatusOr<std::optional<Downtime>> ProbeStore::FindDowntime(absl::string_view id) {
  MutexLock lock(mutex_);
  std::optional<Downtime> found;
  FLEET_RETURN_IF_ERROR(database_->Query(FLEET_DOWNTIME " FROM downtimes WHERE id = ?", {id},
                                         [&](const SqlRow& row) { found = ToDowntime(row); }));
  return found;
}

absl::StatusOr<std::vector<Downtime>> ProbeStore::DowntimesSince(absl::Time since) {
  MutexLock lock(mutex_);
  std::vector<Downtime> downtimes;
  FLEET_RETURN_IF_ERROR(database_->Query(
      FLEET_DOWNTIME " FROM downtimes WHERE ended_at IS NULL OR ended_at > ? ORDER BY started_at",
      {since}, [&](const SqlRow& row) { downtimes.push_back(ToDowntime(row)); }));
  return downtimes;
}

absl::StatusOr<std::vector<DownSpan>> ProbeStore::DownSpans(absl::string_view token,
                                                            absl::Time since) {
  MutexLock lock(mutex_);
  std::vector<DownSpan> spans;
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT started_at, ended_at FROM downtimes WHERE token = ? AND (ended_at IS NULL OR "
      "ended_at > ?)",
      {token, since}, [&](const SqlRow& row) {
        spans.push_back({row.Time(0), row.IsNull(1) ? absl::InfiniteFuture() : row.Time(1)});
      }));
  return spans;
}

absl::Status ProbeStore::Counts(
    absl::string_view token, absl::Time from, absl::Time to,
    const std::function<void(const std::string& token, CountRow row)>& row,
    const std::function<void()>& last) {
  MutexLock lock(mutex_);
  const auto add = [&](const SqlRow& found) { row(found.Text(0), ToCount(found)); };
  const int64_t begin = absl::ToUnixSeconds(from);
  const int64_t end = absl::ToUnixSeconds(to + absl::Seconds(1) - absl::Nanoseconds(1));
  FLEET_RETURN_IF_ERROR(token.empty() ? database_->Query(kCountsOfAll, {begin, end}, add)
                                      : database_->Query(kCountsOfOne, {token, begin, end}, add));
  if (last) last();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ProbeEvent>> ProbeStore::Events(int64_t after, size_t limit) {
  MutexLock lock(mutex_);
  std::vector<ProbeEvent> events;
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT id, kind, time, token, event FROM events WHERE id > ? ORDER BY id LIMIT ?",
      {after, static_cast<int64_t>(limit)}, [&](const SqlRow& row) {
        ProbeEvent& event = events.emplace_back();
        event.id = row.Int(0);
        event.kind = row.Text(1);
        event.time = row.Time(2);
        event.token = row.Text(3);
        v1::StoredEvent stored;
        FromText(row.Text(4), stored);
        FromStored(stored, event);
      }));
  return events;
}

absl::Status ProbeStore::Trim(absl::Time now) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(auto transaction, Database::Transaction::Begin(*database_));
  const int64_t hours = absl::ToUnixSeconds(DayOf(now - kHours));
  FLEET_RETURN_IF_ERROR(database_->Run(kFoldHours, {hours}).status());
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM counts WHERE level = 0 AND start < ?", {hours}).status());
  const int64_t days = absl::ToUnixSeconds(MonthOf(now - kDays));
  FLEET_RETURN_IF_ERROR(database_->Run(kFoldDays, {days}).status());
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM counts WHERE level = 1 AND start < ?", {days}).status());
  FLEET_RETURN_IF_ERROR(database_
                            ->Run("DELETE FROM counts WHERE level = 2 AND start < ?",
                                  {absl::ToUnixSeconds(now - kMonths)})
                            .status());
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM downtimes WHERE ended_at < ?", {now - kDowntimes}).status());
  FLEET_RETURN_IF_ERROR(
      database_
          ->Run("DELETE FROM events WHERE time < ? OR id <= (SELECT MAX(id) FROM events) - ?",
                {now - kEvents, kEventsMax})
          .status());
  return transaction.Commit();
}

}  // namespace fleet::collector
