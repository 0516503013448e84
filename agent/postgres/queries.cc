#include "agent/postgres/queries.h"

#include "absl/strings/str_cat.h"

namespace fleet::agent {
namespace {

constexpr int kEver = INT_MAX;

// What pg_stat_database and its neighbours have in every version we know.
#define FLEET_PG_DATABASES                                                                   \
  "s.datid, coalesce(s.datname, '') AS datname, numbackends, xact_commit, xact_rollback, "   \
  "blks_read, blks_hit, tup_returned, tup_fetched, tup_inserted, tup_updated, tup_deleted, " \
  "conflicts, temp_files, temp_bytes, deadlocks, blk_read_time, blk_write_time, "            \
  "floor(extract(epoch FROM s.stats_reset)) AS stats_reset, "                                \
  "confl_tablespace, confl_lock, confl_snapshot, confl_bufferpin, confl_deadlock, "          \
  "age(d.datfrozenxid) AS xid_age, mxid_age(d.datminmxid) AS mxid_age, "                     \
  "d.datallowconn, d.datistemplate, d.datconnlimit"
#define FLEET_PG_CHECKSUMS \
  ", checksum_failures, floor(extract(epoch FROM checksum_last_failure)) AS checksum_last_failure"
#define FLEET_PG_DATABASES_FROM                                          \
  " FROM pg_stat_database s LEFT JOIN pg_database d ON d.oid = s.datid " \
  "LEFT JOIN pg_stat_database_conflicts c ON c.datid = s.datid"

// A cascading standby has no current WAL position, only what it received.
#define FLEET_PG_HERE \
  "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END"
#define FLEET_PG_REPLICATION                                                   \
  "SELECT pid, coalesce(application_name, '') AS application_name, "           \
  "coalesce(host(client_addr), '') AS client_addr, state, sync_state, "        \
  "pg_wal_lsn_diff(" FLEET_PG_HERE                                             \
  ", '0/0') AS here_b, "                                                       \
  "pg_wal_lsn_diff(" FLEET_PG_HERE                                             \
  ", replay_lsn) AS replay_lag_b, "                                            \
  "extract(epoch FROM write_lag) AS wl, extract(epoch FROM flush_lag) AS fl, " \
  "extract(epoch FROM replay_lag) AS rl"
#define FLEET_PG_SLOTS                                                                \
  "SELECT slot_name, slot_type, coalesce(database, '') AS database, active, "         \
  "pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE " \
  "pg_current_wal_lsn() END, restart_lsn) AS retained_b, age(xmin) AS xmin_age, "     \
  "age(catalog_xmin) AS cxmin_age"

constexpr PgQuery kQueries[] = {
    {"locks", 0, kEver, PgPace::kRun, false,
     "SELECT database AS datid, lower(mode) AS mode, count(*) AS count FROM pg_locks "
     "WHERE database <> 0 GROUP BY 1, 2"},
    {"sessions", 0, kEver, PgPace::kRun, false,
     "SELECT datid, backend_type, state, count(*) AS count, "
     "count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting, "
     "max(extract(epoch FROM now() - xact_start)) AS max_xact_s, "
     "max(extract(epoch FROM clock_timestamp() - state_change)) "
     "FILTER (WHERE state LIKE 'idle in transaction%') AS max_idle_in_xact_s, "
     "max(age(backend_xmin)) AS xmin_age FROM pg_stat_activity GROUP BY 1, 2, 3"},
    {"server", 0, kEver, PgPace::kRun, false,
     "SELECT version() AS version, current_user AS role, pg_is_in_recovery() AS in_recovery, "
     "extract(epoch FROM pg_postmaster_start_time()) AS start, "
     "current_setting('max_connections') AS max_connections, "
     "current_setting('superuser_reserved_connections') AS superuser_reserved, "
     "current_setting('reserved_connections', true) AS reserved, "
     "current_setting('autovacuum') AS autovacuum, "
     "current_setting('autovacuum_max_workers') AS autovacuum_workers, "
     "current_setting('autovacuum_freeze_max_age') AS freeze_max_age, "
     "current_setting('archive_mode') AS archive_mode, "
     "pg_has_role(current_user, 'pg_monitor', 'USAGE') AS monitor, "
     "p.count AS prepared, p.age AS prepared_s FROM (SELECT count(*), "
     "max(extract(epoch FROM now() - prepared)) AS age FROM pg_prepared_xact()) p"},
    {"databases", 0, 120000, PgPace::kRun, false,
     "SELECT " FLEET_PG_DATABASES FLEET_PG_DATABASES_FROM},
    {"databases", 120000, 140000, PgPace::kRun, false,
     "SELECT " FLEET_PG_DATABASES FLEET_PG_CHECKSUMS FLEET_PG_DATABASES_FROM},
    {"databases", 140000, kEver, PgPace::kRun, false,
     "SELECT " FLEET_PG_DATABASES FLEET_PG_CHECKSUMS
     ", session_time, active_time, idle_in_transaction_time, sessions, sessions_abandoned, "
     "sessions_fatal, sessions_killed" FLEET_PG_DATABASES_FROM},
    {"archiver", 0, kEver, PgPace::kRun, false,
     "SELECT archived_count, failed_count, extract(epoch FROM now() - last_archived_time) AS la, "
     "extract(epoch FROM now() - last_failed_time) AS lf, last_failed_wal, "
     "last_failed_time > coalesce(last_archived_time, '-infinity') AS failing "
     "FROM pg_stat_archiver"},
    {"bgwriter", 0, 170000, PgPace::kRun, false,
     "SELECT checkpoints_timed, checkpoints_req, checkpoint_write_time, checkpoint_sync_time, "
     "buffers_checkpoint, buffers_clean, maxwritten_clean, buffers_backend, "
     "buffers_backend_fsync, buffers_alloc, floor(extract(epoch FROM stats_reset)) AS stats_reset "
     "FROM pg_stat_bgwriter"},
    {"bgwriter", 170000, kEver, PgPace::kRun, false,
     "SELECT c.num_timed AS checkpoints_timed, c.num_requested AS checkpoints_req, "
     "c.write_time AS checkpoint_write_time, c.sync_time AS checkpoint_sync_time, "
     "c.buffers_written AS buffers_checkpoint, b.buffers_clean, b.maxwritten_clean, "
     "b.buffers_alloc, floor(extract(epoch FROM b.stats_reset)) AS stats_reset "
     "FROM pg_stat_bgwriter b, pg_stat_checkpointer c"},
    {"replication", 0, 120000, PgPace::kRun, false,
     FLEET_PG_REPLICATION " FROM pg_stat_replication"},
    {"replication", 120000, kEver, PgPace::kRun, false,
     FLEET_PG_REPLICATION
     ", extract(epoch FROM now() - reply_time) AS reply_age, "
     "floor(extract(epoch FROM reply_time)) AS reply_time FROM pg_stat_replication"},
    {"slots", 0, 130000, PgPace::kRun, false, FLEET_PG_SLOTS " FROM pg_replication_slots"},
    {"slots", 130000, kEver, PgPace::kRun, false,
     FLEET_PG_SLOTS ", wal_status, safe_wal_size FROM pg_replication_slots"},
    {"standby", 0, kEver, PgPace::kRun, false,
     "SELECT pg_is_in_recovery() AS in_recovery, "
     "(SELECT status FROM pg_stat_wal_receiver) AS receiver, "
     "(SELECT extract(epoch FROM now() - last_msg_receipt_time) FROM pg_stat_wal_receiver) "
     "AS msg_age, "
     "CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "
     "ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END AS replay_delay_s, "
     "pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) AS replay_b, "
     "CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused "
     "WHERE pg_is_in_recovery()"},
    {"base_backup", 130000, kEver, PgPace::kRun, false,
     "SELECT count(*) AS running FROM pg_stat_progress_basebackup"},
    {"archive_backlog", 120000, kEver, PgPace::kMinute, true,
     "SELECT count(*) FILTER (WHERE name LIKE '%.ready') AS ready FROM pg_ls_archive_statusdir()"},
    {"sizes", 0, kEver, PgPace::kSizes, false,
     "SELECT datname, CASE WHEN has_database_privilege(oid, 'CONNECT') OR "
     "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END "
     "AS bytes FROM pg_database"},
    {"wal", 0, kEver, PgPace::kSizes, true,
     "SELECT count(*) AS files, sum(size) AS bytes, "
     "extract(epoch FROM max(modification) FILTER (WHERE name LIKE '%.backup')) AS backup "
     "FROM pg_ls_waldir()"},
};

#undef FLEET_PG_DATABASES
#undef FLEET_PG_CHECKSUMS
#undef FLEET_PG_DATABASES_FROM
#undef FLEET_PG_HERE
#undef FLEET_PG_REPLICATION
#undef FLEET_PG_SLOTS

}  // namespace

absl::Span<const PgQuery> AllPgQueries() { return kQueries; }

std::vector<const PgQuery*> PgQueriesFor(int server_version) {
  std::vector<const PgQuery*> chosen;
  for (const PgQuery& query : kQueries) {
    if (query.since <= server_version && server_version < query.until) chosen.push_back(&query);
  }
  return chosen;
}

std::string PgBlockedSql(int server_version) {
  // Before 14 nobody notes when a wait began; the statement's start is the earliest it can have.
  const absl::string_view since =
      server_version >= 140000
          ? "coalesce((SELECT min(waitstart) FROM pg_locks l WHERE l.pid = a.pid AND NOT granted), "
            "a.query_start)"
          : "a.query_start";
  return absl::StrCat(
      "SELECT w.pid, w.usename, w.datname, w.waited_s, b.pid AS blocker, "
      "b.usename AS blocker_user, b.application_name AS blocker_application, "
      "b.state AS blocker_state, "
      "extract(epoch FROM clock_timestamp() - b.xact_start) AS blocker_s "
      "FROM (SELECT pid, usename, datname, extract(epoch FROM clock_timestamp() - ",
      since,
      ") AS waited_s, pg_blocking_pids(pid) AS by FROM pg_stat_activity a "
      "WHERE wait_event_type = 'Lock' ORDER BY query_start LIMIT 5) w "
      "LEFT JOIN pg_stat_activity b ON b.pid = w.by[1] ORDER BY w.waited_s DESC LIMIT 1");
}

absl::string_view PgSessionsSql() {
  return "(SELECT 'transaction' AS kind, pid, usename, datname, application_name, "
         "extract(epoch FROM clock_timestamp() - xact_start) AS seconds FROM pg_stat_activity "
         "WHERE backend_type = 'client backend' AND xact_start IS NOT NULL "
         "ORDER BY xact_start LIMIT 1) UNION ALL "
         "(SELECT 'idle', pid, usename, datname, application_name, "
         "extract(epoch FROM clock_timestamp() - state_change) FROM pg_stat_activity "
         "WHERE state LIKE 'idle in transaction%' ORDER BY state_change LIMIT 1)";
}

absl::string_view PgTablesSql() {
  return "SELECT t.live, t.dead, w.* FROM (SELECT sum(n_live_tup) AS live, sum(n_dead_tup) AS dead "
         "FROM pg_stat_user_tables) t LEFT JOIN (SELECT schemaname, relname, n_live_tup, "
         "n_dead_tup, extract(epoch FROM now() - greatest(last_autovacuum, last_vacuum)) AS "
         "vacuum_s FROM pg_stat_user_tables ORDER BY n_dead_tup DESC LIMIT 1) w ON true";
}

}  // namespace fleet::agent
