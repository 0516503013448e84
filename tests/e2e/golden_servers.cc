#include "tests/e2e/golden_servers.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/checks/checks.h"
#include "agent/checks/systemd_check.h"
#include "agent/checks/tinc_check.h"
#include "tests/support/check_runner.h"
#include "tests/support/fake_minio.h"
#include "tests/support/fake_redis.h"
#include "tests/support/golden.h"
#include "tests/support/namespace_systemd.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/redis_server.h"
#include "tests/support/sidekiq_recording.h"

namespace fleet::test {
namespace {

std::string Nothing() { return ""; }

// Redis: recorded answers.

std::string RedisText(absl::string_view recording) {
  const std::string info = Fixture(recording);
  const FakeRedis redis({
      {"CLIENT SETNAME fleet-agent", "+OK\r\n"},
      {"INFO", FakeRedis::Bulk(info)},
      {"INFO COMMANDSTATS",
       FakeRedis::Bulk("# Commandstats\r\n"
                       "cmdstat_lpush:calls=12,usec=96,usec_per_call=8.00,rejected_calls=0,"
                       "failed_calls=1\r\n")},
      {"PING", "+PONG\r\n"},
      {"SLOWLOG LEN", ":3\r\n"},
      {"LATENCY LATEST", "*0\r\n"},
      {"EXISTS queues", ":1\r\n"},
      {"CONFIG GET databases",
       absl::StrCat("*2\r\n", FakeRedis::Bulk("databases"), FakeRedis::Bulk("2"))},
      {"CONFIG GET io-threads",
       absl::StrCat("*2\r\n", FakeRedis::Bulk("io-threads"), FakeRedis::Bulk("1"))},
      {"CONFIG GET maxclients",
       absl::StrCat("*2\r\n", FakeRedis::Bulk("maxclients"), FakeRedis::Bulk("10000"))},
  });
  CheckRunner runner{agent::HostFs("/")};
  runner.options().redis.servers = {
      {.name = "main", .address = redis.address(), .user = "", .password_file = ""}};
  return GoldenText("redis", runner.Run(agent::MakeRedisCheck),
                    {.values = {"fleet_redis_ping_seconds"}, .texts = {}});
}
std::string RedisPrimary() { return RedisText("redis/info-7.0.15-primary.txt"); }
std::string RedisReplica() { return RedisText("redis/info-7.0.15-replica.txt"); }

// Sidekiq: recorded keys in a real Redis.

std::string SidekiqMissing() { return TestRedis::Installed() ? "" : "redis-server"; }

/// `recording` as if made at `now`: its times (seconds since 1970, as 1795453581.4155) moved by
/// what lies between. `made` is when it was made.
std::string MoveTo(absl::string_view recording, absl::Time made, absl::Time now) {
  std::string moved;
  for (size_t at = 0; at < recording.size();) {
    // Nothing else in the recordings is a number of that length that starts so.
    const absl::string_view digits = recording.substr(at, 10);
    int64_t seconds = 0;
    if (absl::StartsWith(digits, "1795") && absl::SimpleAtoi(digits, &seconds)) {
      absl::StrAppend(&moved, seconds + absl::ToInt64Seconds(now - made));
      at += digits.size();
    } else {
      moved += recording[at++];
    }
  }
  return moved;
}

/// `made` is the unix time when the recording was made.
std::string SidekiqText(absl::string_view recording, int64_t made) {
  TestRedis redis;
  redis.DoAll(RestoreSidekiq(MoveTo(Fixture(recording), absl::FromUnixSeconds(made), absl::Now())));
  CheckRunner runner{agent::HostFs("/")};
  runner.options().redis.servers = {
      {.name = "jobs", .address = redis.address(), .user = "", .password_file = ""}};
  return GoldenText("sidekiq", runner.Run(agent::MakeSidekiqCheck),
                    {.values = {"sidekiq_queue_latency_seconds"},
                     .texts = {{"oldest waits [0-9.]+ (ms|s)", "oldest waits …"}}});
}
std::string SidekiqRunning() { return SidekiqText("sidekiq/6.4.1-b-running.txt", 1795453594); }
std::string SidekiqWithoutWorkers() {
  return SidekiqText("sidekiq/7.3.2-a-enqueued-no-worker.txt", 1795453712);
}

// Minio: recorded metrics.

std::string MinioText(absl::string_view state) {
  FakeMinio minio;
  minio.Set(state);
  CheckRunner runner{agent::HostFs()};
  runner.UseRealClock();
  runner.set_deadline(absl::Seconds(14));
  agent::MinioServer server;
  server.url = minio.url();
  server.token_file = minio.file("token");
  WriteFile(server.token_file, FakeMinio::Token() + "\n");
  runner.options().minio.servers = {server};
  return GoldenText("minio", runner.Run(agent::MakeMinioCheck),
                    {.values = {"fleet_minio_health_duration_seconds"},
                     .texts = {{absl::StrCat("127\\.0\\.0\\.1:", minio.port()), "SERVER"}}});
}
std::string MinioV2() { return MinioText("{}"); }
std::string MinioV3() {
  return MinioText(R"({"v2": false, "healing_drives": 1, "values": {"minio_system_drive_health": 0,
                       "minio_cluster_health_drives_offline_count": 2}})");
}

// Postgres: the real one.

std::string PostgresMissing() {
  return PostgresCluster::Available() ? "" : "root and postgresql-15";
}

std::string PostgresText() {
  PostgresCluster cluster("max_connections = 40\narchive_mode = off\n");
  cluster.Start();
  cluster.Sql("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet;");
  cluster.Sql("CREATE DATABASE mastodon;");
  cluster.Sql("SELECT pg_create_physical_replication_slot('standby');");
  CheckRunner runner{agent::HostFs("/")};
  runner.UseRealClock();
  runner.options().postgres.servers = {{.name = "main", .dsn = cluster.dsn(), .password_file = ""}};
  CheckResult result;
  // The sessions that made all this may take a moment to end.
  WaitFor([&] {
    result = runner.Run(agent::MakePostgresCheck);
    return absl::StrContains(absl::StrJoin(result.items(), "\n"), " 1 of 37 connections");
  });
  // What a fresh server has counted, and its sizes, differ from start to start and from one minor
  // version to the next.
  return GoldenText(
      "postgres", std::move(result),
      {.values = {"fleet_postgres_group_age_seconds", "fleet_postgres_live_rows",
                  "fleet_postgres_mxid_age", "fleet_postgres_oldest_transaction_seconds",
                  "fleet_postgres_start_timestamp_seconds", "fleet_postgres_wal_bytes",
                  "fleet_postgres_xid_age", "pg_database_size_bytes",
                  "pg_stat_activity_max_tx_duration", "pg_stat_bgwriter_*",
                  "pg_stat_database_active_time", "pg_stat_database_blks_hit",
                  "pg_stat_database_blks_read", "pg_stat_database_session_time",
                  "pg_stat_database_sessions", "pg_stat_database_stats_reset",
                  "pg_stat_database_tup_*", "pg_stat_database_xact_*"},
       .texts = {{"version=\"PostgreSQL 15[^\"]*\"", "version=\"PostgreSQL 15…\""},
                 {"short_version=\"15[0-9.]*\"", "short_version=\"15…\""},
                 {": 15\\.[0-9]+", ": 15.…"}}});
}

// Systemd: the real one, in namespaces of its own.

std::string SystemdText() {
  NamespaceSystemd systemd({.units = SampleUnits(), .setup = {}});
  const std::string root = systemd.Root();
  if (root.empty()) return absl::StrCat("systemd cannot run in a namespace here: ", systemd.Log());
  const TempDir dir;
  const std::string path = dir / "said";
  systemd.Inside([&] {
    CheckRunner runner{agent::HostFs(root)};
    runner.UseRealClock();
    runner.options().systemd.required = {"good.service", "idle.service", "nothing.service"};
    CheckResult result;
    WaitFor([&] {
      result = runner.Run(agent::MakeSystemdCheck);
      const std::string items = absl::StrJoin(result.items(), "\n");
      return absl::StrContains(items, "bad.serv") && absl::StrContains(items, "loop.service warn");
    });
    WriteFile(path,
              GoldenText("systemd", std::move(result),
                         {.values = {"node_systemd_version", "node_systemd_service_restart_total"},
                          .texts = {{"version=\"[^\"]*\"", "version=\"…\""},
                                    {"[0-9]+ services? active", "… services active"},
                                    {"[0-9.]+ (us|ms|s|min) ago", "… ago"},
                                    {"[0-9]+ times", "… times"}}}));
  });
  return ReadFile(path);
}

// Tinc: a recorded host, and answers to probes.

/// One peer answers by echo, the other by a reset of TCP; nobody else.
class RecordedProbes final : public agent::TincProber {
 public:
  std::vector<agent::TincProbeResult> Probe(absl::Span<const agent::TincProbeTarget> targets,
                                            absl::Duration) override {
    std::vector<agent::TincProbeResult> results;
    for (const agent::TincProbeTarget& target : targets) {
      agent::TincProbeResult& result = results.emplace_back();
      result.big_packet_bytes = 1400;
      if (target.address.ToString() == "10.235.0.3") {
        result.small = absl::Microseconds(3120);
        result.big = absl::Microseconds(4250);
        result.echo = true;
      }
    }
    return results;
  }
  std::vector<agent::TcpConnection> MetaConnections(bool, uint16_t) override { return {}; }
};

std::string TincText() {
  CheckRunner runner{agent::HostFs(FLEET_SOURCE_DIR "/tests/fixtures/hosts/tempo")};
  // An hour and a half after its tincd started.
  runner.clock().Advance(absl::FromUnixSeconds(1795459289) + absl::Minutes(90) -
                         runner.clock().Now());
  return GoldenText("tinc", runner.Run(*agent::MakeTincCheckWith(
                                runner.env(), std::make_unique<RecordedProbes>())));
}

const ServerGolden kServerGoldens[] = {
    {"minio", "golden/minio-v2.golden", FakeMinio::Missing, MinioV2},
    {"minio", "golden/minio-v3.golden", FakeMinio::Missing, MinioV3},
    {"postgres", "golden/postgres-15.golden", PostgresMissing, PostgresText},
    {"redis", "golden/redis-primary.golden", Nothing, RedisPrimary},
    {"redis", "golden/redis-replica.golden", Nothing, RedisReplica},
    {"sidekiq", "golden/sidekiq-running.golden", SidekiqMissing, SidekiqRunning},
    {"sidekiq", "golden/sidekiq-no-worker.golden", SidekiqMissing, SidekiqWithoutWorkers},
    {"systemd", "golden/systemd.golden", NamespaceSystemd::Missing, SystemdText},
    {"tinc", "golden/tinc.golden", Nothing, TincText},
};

}  // namespace

absl::Span<const ServerGolden> ServerGoldens() { return kServerGoldens; }

}  // namespace fleet::test
