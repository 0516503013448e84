#pragma once

#include <iterator>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/metric.h"

namespace fleet::agent {

/// Every metric of the postgres check: what postgres_exporter 0.11.1 has, by its names, types and
/// words, then our own.
inline constexpr MetricDesc kPgMetrics[] = {
    {"pg_up", MetricType::kGauge,
     "Whether the last scrape of metrics from PostgreSQL was able to connect to the server "
     "(1 for yes, 0 for no).",
     true},
    {"pg_static", MetricType::kUntyped, "Version string as reported by postgres.", true},
    {"pg_settings_max_connections", MetricType::kGauge,
     "Sets the maximum number of concurrent connections.", true},
    {"pg_stat_database_active_time", MetricType::kUntyped,
     "Time spent executing statements in this database, in milliseconds.", true},
    {"pg_stat_database_blk_read_time", MetricType::kCounter,
     "Time spent reading data file blocks by backends in this database, in milliseconds.", true},
    {"pg_stat_database_blk_write_time", MetricType::kCounter,
     "Time spent writing data file blocks by backends in this database, in milliseconds.", true},
    {"pg_stat_database_blks_hit", MetricType::kCounter,
     "Number of times disk blocks were found already in the buffer cache, so that a read was "
     "not necessary (this only includes hits in the PostgreSQL buffer cache, not the "
     "operating system's file system cache).",
     true},
    {"pg_stat_database_blks_read", MetricType::kCounter,
     "Number of disk blocks read in this database.", true},
    {"pg_stat_database_checksum_failures", MetricType::kUntyped,
     "Data page checksum failures detected in this database.", true},
    {"pg_stat_database_checksum_last_failure", MetricType::kUntyped,
     "Time of the last checksum failure, NaN when none.", true},
    {"pg_stat_database_conflicts", MetricType::kCounter,
     "Number of queries canceled due to conflicts with recovery in this database.", true},
    {"pg_stat_database_deadlocks", MetricType::kCounter,
     "Number of deadlocks detected in this database.", true},
    {"pg_stat_database_idle_in_transaction_time", MetricType::kUntyped,
     "Time spent idling while in a transaction in this database, in milliseconds.", true},
    {"pg_stat_database_numbackends", MetricType::kGauge,
     "Number of backends currently connected to this database.", true},
    {"pg_stat_database_session_time", MetricType::kUntyped,
     "Time spent by sessions in this database, in milliseconds.", true},
    {"pg_stat_database_sessions", MetricType::kUntyped, "Sessions established to this database.",
     true},
    {"pg_stat_database_sessions_abandoned", MetricType::kUntyped,
     "Sessions ended because the client was lost.", true},
    {"pg_stat_database_sessions_fatal", MetricType::kUntyped, "Sessions ended by fatal errors.",
     true},
    {"pg_stat_database_sessions_killed", MetricType::kUntyped, "Sessions ended by an operator.",
     true},
    {"pg_stat_database_stats_reset", MetricType::kCounter,
     "Time at which these statistics were last reset.", true},
    {"pg_stat_database_temp_bytes", MetricType::kCounter,
     "Total amount of data written to temporary files by queries in this database.", true},
    {"pg_stat_database_temp_files", MetricType::kCounter,
     "Number of temporary files created by queries in this database.", true},
    {"pg_stat_database_tup_deleted", MetricType::kCounter,
     "Number of rows deleted by queries in this database.", true},
    {"pg_stat_database_tup_fetched", MetricType::kCounter,
     "Number of rows fetched by queries in this database.", true},
    {"pg_stat_database_tup_inserted", MetricType::kCounter,
     "Number of rows inserted by queries in this database.", true},
    {"pg_stat_database_tup_returned", MetricType::kCounter,
     "Number of rows returned by queries in this database.", true},
    {"pg_stat_database_tup_updated", MetricType::kCounter,
     "Number of rows updated by queries in this database.", true},
    {"pg_stat_database_xact_commit", MetricType::kCounter,
     "Number of transactions in this database that have been committed.", true},
    {"pg_stat_database_xact_rollback", MetricType::kCounter,
     "Number of transactions in this database that have been rolled back.", true},
    {"pg_stat_database_conflicts_confl_bufferpin", MetricType::kCounter,
     "Number of queries in this database that have been canceled due to pinned buffers.", true},
    {"pg_stat_database_conflicts_confl_deadlock", MetricType::kCounter,
     "Number of queries in this database that have been canceled due to deadlocks.", true},
    {"pg_stat_database_conflicts_confl_lock", MetricType::kCounter,
     "Number of queries in this database that have been canceled due to lock timeouts.", true},
    {"pg_stat_database_conflicts_confl_snapshot", MetricType::kCounter,
     "Number of queries in this database that have been canceled due to old snapshots.", true},
    {"pg_stat_database_conflicts_confl_tablespace", MetricType::kCounter,
     "Number of queries in this database that have been canceled due to dropped tablespaces.",
     true},
    {"pg_stat_bgwriter_buffers_alloc_total", MetricType::kCounter, "Number of buffers allocated.",
     true},
    {"pg_stat_bgwriter_buffers_backend_fsync_total", MetricType::kCounter,
     "Number of times a backend had to execute its own fsync call (normally the background "
     "writer handles those even when the backend does its own write).",
     true},
    {"pg_stat_bgwriter_buffers_backend_total", MetricType::kCounter,
     "Number of buffers written directly by a backend.", true},
    {"pg_stat_bgwriter_buffers_checkpoint_total", MetricType::kCounter,
     "Number of buffers written during checkpoints.", true},
    {"pg_stat_bgwriter_buffers_clean_total", MetricType::kCounter,
     "Number of buffers written by the background writer.", true},
    {"pg_stat_bgwriter_checkpoint_sync_time_total", MetricType::kCounter,
     "Total amount of time that has been spent in the portion of checkpoint processing where "
     "files are synchronized to disk, in milliseconds.",
     true},
    {"pg_stat_bgwriter_checkpoint_write_time_total", MetricType::kCounter,
     "Total amount of time that has been spent in the portion of checkpoint processing where "
     "files are written to disk, in milliseconds.",
     true},
    {"pg_stat_bgwriter_checkpoints_req_total", MetricType::kCounter,
     "Number of requested checkpoints that have been performed.", true},
    {"pg_stat_bgwriter_checkpoints_timed_total", MetricType::kCounter,
     "Number of scheduled checkpoints that have been performed.", true},
    {"pg_stat_bgwriter_maxwritten_clean_total", MetricType::kCounter,
     "Number of times the background writer stopped a cleaning scan because it had written "
     "too many buffers.",
     true},
    {"pg_stat_bgwriter_stats_reset_total", MetricType::kCounter,
     "Time at which these statistics were last reset.", true},
    {"pg_stat_archiver_archived_count", MetricType::kCounter,
     "Number of WAL files that have been successfully archived.", true},
    {"pg_stat_archiver_failed_count", MetricType::kCounter,
     "Number of failed attempts for archiving WAL files.", true},
    {"pg_stat_archiver_last_archive_age", MetricType::kGauge,
     "Time in seconds since last WAL segment was successfully archived.", true},
    {"pg_database_size_bytes", MetricType::kGauge, "Disk space used by the database.", true},
    {"pg_locks_count", MetricType::kGauge, "Number of locks.", true},
    {"pg_stat_activity_count", MetricType::kGauge, "Number of connections in this state.", true},
    {"pg_stat_activity_max_tx_duration", MetricType::kGauge,
     "Max duration in seconds any active transaction has been running.", true},
    {"pg_replication_slots_active", MetricType::kGauge, "Flag indicating if the slot is active.",
     true},
    {"pg_replication_slots_pg_wal_lsn_diff", MetricType::kGauge, "Replication lag in bytes.", true},
    {"pg_stat_replication_pg_current_wal_lsn_bytes", MetricType::kGauge, "WAL position in bytes.",
     true},
    {"pg_stat_replication_pg_wal_lsn_diff", MetricType::kGauge,
     "Lag in bytes between master and slave.", true},
    {"pg_stat_replication_reply_time", MetricType::kUntyped,
     "Time of the last reply from the standby.", true},
    {"fleet_postgres_up", MetricType::kGauge, "Whether the server answered this run."},
    {"fleet_postgres_connections", MetricType::kGauge, "Sessions of clients."},
    {"fleet_postgres_connections_max", MetricType::kGauge,
     "Sessions that ordinary clients may have: max_connections without the reserved ones."},
    {"fleet_postgres_waiting_sessions", MetricType::kGauge, "Sessions that wait for a lock."},
    {"fleet_postgres_lock_wait_seconds", MetricType::kGauge,
     "Time the longest waiting session has waited for its lock."},
    {"fleet_postgres_oldest_transaction_seconds", MetricType::kGauge,
     "Age of the oldest open transaction of a client."},
    {"fleet_postgres_oldest_idle_in_transaction_seconds", MetricType::kGauge,
     "Time the longest idle open transaction has been idle."},
    {"fleet_postgres_start_timestamp_seconds", MetricType::kGauge, "When the server was started."},
    {"fleet_postgres_in_recovery", MetricType::kGauge,
     "Whether the server is a standby or recovering."},
    {"fleet_postgres_autovacuum_workers", MetricType::kGauge, "Autovacuum workers at work."},
    {"fleet_postgres_prepared_transactions", MetricType::kGauge,
     "Prepared transactions that nobody has finished."},
    {"fleet_postgres_oldest_prepared_transaction_seconds", MetricType::kGauge,
     "Age of the oldest prepared transaction."},
    {"fleet_postgres_xid_age", MetricType::kGauge,
     "Age of the oldest unfrozen transaction id of a database, in transactions."},
    {"fleet_postgres_mxid_age", MetricType::kGauge,
     "Age of the oldest multixact id of a database, in multixacts."},
    {"fleet_postgres_replica_replay_lag_bytes", MetricType::kGauge,
     "WAL that a standby of this server has not replayed."},
    {"fleet_postgres_replica_replay_lag_seconds", MetricType::kGauge,
     "Time until a standby replays what is written now; absent while nothing is written."},
    {"fleet_postgres_standby_receiving", MetricType::kGauge,
     "Whether this standby streams from its primary."},
    {"fleet_postgres_standby_replay_lag_bytes", MetricType::kGauge,
     "WAL that this standby received and has not replayed."},
    {"fleet_postgres_standby_replay_lag_seconds", MetricType::kGauge,
     "Age of the newest replayed transaction; 0 when all received WAL is replayed."},
    {"fleet_postgres_archiver_failing", MetricType::kGauge,
     "Whether the last attempt to archive WAL failed."},
    {"fleet_postgres_archive_ready_files", MetricType::kGauge,
     "WAL files that wait to be archived."},
    {"fleet_postgres_base_backups_running", MetricType::kGauge, "Base backups being taken now."},
    {"fleet_postgres_last_base_backup_timestamp_seconds", MetricType::kGauge,
     "When the last base backup of this server ended."},
    {"fleet_postgres_wal_bytes", MetricType::kGauge, "Size of the WAL directory."},
    {"fleet_postgres_live_rows", MetricType::kGauge, "Estimated live rows of a database."},
    {"fleet_postgres_dead_rows", MetricType::kGauge, "Estimated dead rows of a database."},
    {"fleet_postgres_group_age_seconds", MetricType::kGauge,
     "Age of the values of a query group that is not asked every run."},
};

/// The entry called `name`; a name that is not in the table does not compile.
consteval const MetricDesc& PgMetric(const char* name) {
  for (const MetricDesc& desc : kPgMetrics) {
    size_t i = 0;
    while (i < desc.name.size() && desc.name[i] == name[i]) ++i;
    if (i == desc.name.size() && name[i] == '\0') return desc;
  }
  throw "no such metric";
}

/// Metrics that start with one prefix; they follow each other.
struct PgFamilies {
  size_t prefix_size;
  absl::Span<const MetricDesc> metrics;
};
consteval PgFamilies PgFamiliesOf(const char* prefix) {
  size_t prefix_size = 0;
  while (prefix[prefix_size] != '\0') ++prefix_size;
  const auto starts = [&](const MetricDesc& desc) {
    size_t i = 0;
    while (i < prefix_size && i < desc.name.size() && desc.name[i] == prefix[i]) ++i;
    return i == prefix_size;
  };
  const MetricDesc* begin = std::begin(kPgMetrics);
  while (!starts(*begin)) ++begin;
  const MetricDesc* end = begin;
  while (end != std::end(kPgMetrics) && starts(*end)) ++end;
  return {prefix_size, {begin, static_cast<size_t>(end - begin)}};
}

}  // namespace fleet::agent
