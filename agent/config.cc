#include "agent/config.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/address.h"
#include "common/escape.h"
#include "fleet/v1/agent_config.pb.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kIntervalMin = absl::Milliseconds(100);
constexpr absl::Duration kIntervalMax = absl::Hours(24);
constexpr absl::Duration kSpoolAgeMin = absl::Minutes(10);
constexpr absl::Duration kSpoolAgeMax = absl::Hours(24 * 365);
constexpr int64_t kSpoolBytesMin = 4 << 20;  // a few segments

template <typename Value, typename Field>
void Set(bool given, Value value, Field& field) {
  if (given) field = static_cast<Field>(value);
}
void Set(bool given, double seconds, absl::Duration& field) {
  if (given) field = absl::Seconds(seconds);
}

/// `SET(disk, warn, disk.warn_ratio)`: takes over a value that the file gives.
#define FLEET_SET(message, name, field) Set((message).has_##name(), (message).name(), field)

template <typename List>
std::vector<std::string> ToVector(const List& list) {
  return {list.begin(), list.end()};
}

class Converter {
 public:
  Converter(AgentSettings& settings, ConfigLoader& loader) : settings_(settings), loader_(loader) {}

  void Convert(const v1::AgentConfig& config) {
    settings_.collectors = ToVector(config.collector());
    settings_.data_dir = config.data_dir();
    if (config.has_interval()) settings_.interval = Interval(config.interval(), "interval");
    settings_.insecure = config.insecure();
    settings_.host = config.host();
    ConvertTls(config);
    ConvertEcho(config.echo());
    ConvertSpool(config.spool());
    ConvertVantage(config.probes());
    const v1::ChecksConfig& checks = config.checks();
    ConvertHost(checks);
    if (checks.has_tinc()) ConvertTinc(checks.tinc());
    if (checks.has_postgres()) ConvertPostgres(checks.postgres());
    if (checks.has_redis()) ConvertRedis(checks.redis());
    if (checks.has_sidekiq()) ConvertSidekiq(checks.sidekiq());
    if (checks.has_minio()) ConvertMinio(checks.minio());
  }

 private:
  absl::Duration Interval(double seconds, const std::string& field) {
    const absl::Duration interval = absl::Seconds(seconds);
    if (interval < kIntervalMin || interval > kIntervalMax) {
      loader_.AddProblem(field, "expected an interval from 100ms to 24h");
      return absl::Seconds(10);
    }
    return interval;
  }

  void SecretFile(const std::string& path, const std::string& field) {
    if (path.empty()) return;
    const absl::Status status = ReadSecretFile(path).status();
    if (!status.ok()) loader_.AddProblem(field, std::string(status.message()));
  }

  void ConvertTls(const v1::AgentConfig& config) {
    const v1::TlsConfig& tls = config.tls();
    settings_.tls_ca = tls.ca();
    settings_.tls_cert = tls.cert();
    settings_.tls_key = tls.key();
    for (int i = 0; i < config.collector_size(); ++i) {
      const std::string field = absl::StrCat("collector[", i, "]");
      const absl::StatusOr<Address> address = ParseAddress(config.collector(i));
      if (!address.ok() || address->port == 0) {
        loader_.AddProblem(field,
                           absl::StrCat("expected host:port, got ", Quote(config.collector(i))));
      } else if (config.insecure() && !IsLoopback(address->host)) {
        loader_.AddProblem(field, "insecure: true is possible only with a collector on loopback");
      }
    }
    const bool any = !tls.ca().empty() || !tls.cert().empty() || !tls.key().empty();
    if (!any && !config.data_dir().empty()) {
      // Where `fleet-agent join` puts them.
      settings_.tls_ca = config.data_dir() + "/tls/ca.pem";
      settings_.tls_cert = config.data_dir() + "/tls/cert.pem";
      settings_.tls_key = config.data_dir() + "/tls/key.pem";
    }
    if (config.insecure() || config.collector_size() == 0) return;
    if (!any && config.data_dir().empty()) {
      loader_.AddProblem("tls",
                         "expected ca, cert and key, or a data_dir for them "
                         "(or insecure: true on loopback)");
    } else if (!any && absl::IsNotFound(ReadSecretFile(settings_.tls_cert).status())) {
      loader_.AddProblem("tls",
                         absl::StrCat("this host has no certificate yet (", settings_.tls_cert,
                                      "): fleetctl enroll on the admin's machine, then here "
                                      "the fleet-agent join that it prints"));
    } else if (any && (tls.ca().empty() || tls.cert().empty() || tls.key().empty())) {
      loader_.AddProblem("tls", "expected all of ca, cert and key, or none of them");
    } else {
      SecretFile(settings_.tls_ca, "tls.ca");
      SecretFile(settings_.tls_cert, "tls.cert");
      SecretFile(settings_.tls_key, "tls.key");
    }
  }

  void ConvertVantage(const v1::VantageConfig& probes) {
    if (probes.has_enabled()) settings_.vantage = probes.enabled();
    for (int i = 0; i < probes.allow_size(); ++i) {
      const absl::StatusOr<ProbePolicy> one = ProbePolicy::Parse({probes.allow(i)});
      if (one.ok()) continue;
      loader_.AddProblem(absl::StrCat("probes.allow[", i, "]"),
                         std::string(one.status().message()));
    }
    absl::StatusOr<ProbePolicy> policy = ProbePolicy::Parse(ToVector(probes.allow()));
    if (policy.ok()) settings_.probe_policy = *std::move(policy);
  }

  void ConvertEcho(const v1::EchoConfig& echo) {
    if (echo.has_enabled()) settings_.echo_enabled = echo.enabled();
    settings_.echo_listen = ToVector(echo.listen());
    if (!echo.has_port()) return;
    if (echo.port() == 0 || echo.port() > 65535) {
      loader_.AddProblem("echo.port", "expected a port from 1 to 65535");
      return;
    }
    settings_.echo_port = static_cast<uint16_t>(echo.port());
  }

  void ConvertSpool(const v1::SpoolConfig& spool) {
    if (spool.has_max_age()) {
      settings_.spool_age_max = absl::Seconds(spool.max_age());
      if (settings_.spool_age_max < kSpoolAgeMin || settings_.spool_age_max > kSpoolAgeMax) {
        loader_.AddProblem("spool.max_age", "expected an age from 10m to 365d");
      }
    }
    if (spool.has_max_bytes()) {
      settings_.spool_bytes_max = static_cast<uint64_t>(spool.max_bytes());
      if (spool.max_bytes() < kSpoolBytesMin) {
        loader_.AddProblem("spool.max_bytes", "expected at least 4MiB");
      }
    }
  }

  void Schedule(const std::string& name, bool present, const v1::CheckSchedule& config) {
    if (!present) return;
    CheckSchedule& schedule = settings_.schedules[name];
    schedule.configured = true;
    if (config.has_enabled()) schedule.enabled = config.enabled();
    const std::string field = absl::StrCat("checks.", name);
    if (config.has_interval()) schedule.interval = Interval(config.interval(), field + ".interval");
    if (config.has_deadline()) {
      schedule.deadline = absl::Seconds(config.deadline());
      if (schedule.deadline < absl::Milliseconds(10) || schedule.deadline > absl::Hours(1)) {
        loader_.AddProblem(field + ".deadline", "expected a deadline from 10ms to 1h");
        schedule.deadline = absl::ZeroDuration();
      }
    }
    schedule.parent = config.parent();
  }

  void ConvertHost(const v1::ChecksConfig& config) {
    CheckOptions& checks = settings_.checks;
    Schedule("cpu", config.has_cpu(), config.cpu().schedule());
    FLEET_SET(config.cpu(), pressure_warn, checks.cpu.pressure_warn_ratio);
    Schedule("load", config.has_load(), config.load().schedule());
    FLEET_SET(config.load(), warn_per_cpu, checks.load.warn_per_cpu);
    FLEET_SET(config.load(), crit_per_cpu, checks.load.crit_per_cpu);
    Schedule("kernel", config.has_kernel(), config.kernel().schedule());
    FLEET_SET(config.kernel(), files_warn, checks.kernel.files_warn_ratio);
    FLEET_SET(config.kernel(), files_crit, checks.kernel.files_crit_ratio);
    Schedule("clock", config.has_clock(), config.clock().schedule());
    FLEET_SET(config.clock(), offset_warn, checks.clock.offset_warn_seconds);
    FLEET_SET(config.clock(), offset_crit, checks.clock.offset_crit_seconds);
    Schedule("disk", config.has_disk(), config.disk().schedule());
    FLEET_SET(config.disk(), warn, checks.disk.warn_ratio);
    FLEET_SET(config.disk(), crit, checks.disk.crit_ratio);
    FLEET_SET(config.disk(), inodes_warn, checks.disk.inodes_warn_ratio);
    FLEET_SET(config.disk(), inodes_crit, checks.disk.inodes_crit_ratio);
    FLEET_SET(config.disk(), full_within_warn, checks.disk.full_within_warn);
    FLEET_SET(config.disk(), full_within_crit, checks.disk.full_within_crit);
    checks.disk.ignore = ToVector(config.disk().ignore());
    Schedule("memory", config.has_memory(), config.memory().schedule());
    FLEET_SET(config.memory(), available_warn, checks.memory.available_warn_ratio);
    FLEET_SET(config.memory(), available_crit, checks.memory.available_crit_ratio);
    FLEET_SET(config.memory(), pressure_warn, checks.memory.pressure_warn_ratio);
    FLEET_SET(config.memory(), pressure_crit, checks.memory.pressure_crit_ratio);
    FLEET_SET(config.memory(), swap_warn, checks.memory.swap_warn_ratio);
    Schedule("network", config.has_network(), config.network().schedule());
    checks.network.expect_up = ToVector(config.network().expect_up());
    FLEET_SET(config.network(), conntrack_warn, checks.network.conntrack_warn_ratio);
    FLEET_SET(config.network(), conntrack_crit, checks.network.conntrack_crit_ratio);
    Schedule("systemd", config.has_systemd(), config.systemd().schedule());
    checks.systemd.ignore = ToVector(config.systemd().ignore());
    checks.systemd.required = ToVector(config.systemd().required());
    Schedule("raid", config.has_raid(), config.raid().schedule());
    FLEET_SET(config.raid(), check_age_note, checks.raid.check_age_note);
    FLEET_SET(config.raid(), pending_warn, checks.raid.pending_warn);
  }

  /// Complains about a name that several entries of a list share.
  void Unique(std::set<std::string>& names, const std::string& name, const std::string& field) {
    if (!name.empty() && !names.insert(name).second) {
      loader_.AddProblem(field, absl::StrCat(Quote(name), " stands in this list twice"));
    }
  }

  void ConvertTinc(const v1::TincConfig& config) {
    Schedule("tinc", true, config.schedule());
    TincOptions& tinc = settings_.checks.tinc;
    tinc.net = config.net();
    std::set<std::string> names;
    for (int i = 0; i < config.peers_size(); ++i) {
      Unique(names, config.peers(i).name(), absl::StrCat("checks.tinc.peers[", i, "]"));
      tinc.peers.push_back({config.peers(i).name(), config.peers(i).address()});
    }
    for (int i = 0; i < config.allowed_size(); ++i) {
      Unique(names, config.allowed(i), absl::StrCat("checks.tinc.allowed[", i, "]"));
    }
    tinc.allowed = ToVector(config.allowed());
    FLEET_SET(config, rtt_warn, tinc.rtt_warn_seconds);
    FLEET_SET(config, loss_warn, tinc.loss_warn_ratio);
    FLEET_SET(config, loss_crit, tinc.loss_crit_ratio);
    FLEET_SET(config, presence, tinc.presence);
    tinc.hook_state = config.hook_state();
    tinc.echo_port = settings_.echo_port;
  }

  void ConvertPostgres(const v1::PostgresConfig& config) {
    Schedule("postgres", true, config.schedule());
    PostgresOptions& postgres = settings_.checks.postgres;
    SecretFile(config.password_file(), "checks.postgres.password_file");
    if (!config.dsn().empty()) {
      postgres.servers.push_back({"", config.dsn(), config.password_file()});
    } else if (!config.password_file().empty()) {
      loader_.AddProblem("checks.postgres.password_file", "expected with it: dsn");
    }
    std::set<std::string> names;
    for (int i = 0; i < config.servers_size(); ++i) {
      const v1::PostgresServerConfig& server = config.servers(i);
      const std::string field = absl::StrCat("checks.postgres.servers[", i, "]");
      Unique(names, server.name(), field + ".name");
      SecretFile(server.password_file(), field + ".password_file");
      if (server.dsn().empty()) loader_.AddProblem(field, "expected a dsn");
      postgres.servers.push_back({server.name(), server.dsn(), server.password_file()});
    }
    FLEET_SET(config, connections_warn, postgres.connections_warn_ratio);
    FLEET_SET(config, connections_crit, postgres.connections_crit_ratio);
    FLEET_SET(config, idle_in_transaction_warn, postgres.idle_in_transaction_warn);
    FLEET_SET(config, transaction_warn, postgres.transaction_warn);
    FLEET_SET(config, replay_lag_warn, postgres.replay_lag_warn);
    FLEET_SET(config, replay_lag_crit, postgres.replay_lag_crit);
    FLEET_SET(config, archiver_failing_crit, postgres.archiver_failing_crit);
    FLEET_SET(config, sizes_interval, postgres.sizes_interval);
    FLEET_SET(config, lock_wait_warn, postgres.lock_wait_warn);
    FLEET_SET(config, lock_wait_crit, postgres.lock_wait_crit);
    FLEET_SET(config, slot_retained_warn, postgres.slot_retained_warn_bytes);
    FLEET_SET(config, slot_retained_crit, postgres.slot_retained_crit_bytes);
  }

  RedisServer ToRedisServer(const v1::RedisServerConfig& config, const std::string& field) {
    SecretFile(config.password_file(), field + ".password_file");
    if (!absl::StartsWith(config.address(), "/") && !ParseAddress(config.address()).ok()) {
      loader_.AddProblem(
          field + ".address",
          absl::StrCat("expected host:port or /path/to/socket, got ", Quote(config.address())));
    }
    return {config.name(), config.address(), config.user(), config.password_file()};
  }

  void ConvertRedis(const v1::RedisConfig& config) {
    Schedule("redis", true, config.schedule());
    RedisOptions& redis = settings_.checks.redis;
    v1::RedisServerConfig single;
    single.set_address(config.address());
    single.set_user(config.user());
    single.set_password_file(config.password_file());
    if (!single.address().empty()) {
      redis.servers.push_back(ToRedisServer(single, "checks.redis"));
    } else if (!single.user().empty() || !single.password_file().empty()) {
      loader_.AddProblem("checks.redis", "expected with user or password_file: address");
    }
    std::set<std::string> names;
    for (int i = 0; i < config.servers_size(); ++i) {
      const std::string field = absl::StrCat("checks.redis.servers[", i, "]");
      Unique(names, config.servers(i).name(), field + ".name");
      redis.servers.push_back(ToRedisServer(config.servers(i), field));
    }
    FLEET_SET(config, memory_warn, redis.memory_warn_ratio);
    FLEET_SET(config, memory_crit, redis.memory_crit_ratio);
    FLEET_SET(config, clients_warn, redis.clients_warn_ratio);
    FLEET_SET(config, clients_crit, redis.clients_crit_ratio);
    FLEET_SET(config, latency_warn, redis.latency_warn);
  }

  void ConvertSidekiq(const v1::SidekiqConfig& config) {
    Schedule("sidekiq", true, config.schedule());
    SidekiqOptions& sidekiq = settings_.checks.sidekiq;
    if (config.has_redis()) sidekiq.redis = ToRedisServer(config.redis(), "checks.sidekiq.redis");
    if (config.has_database()) sidekiq.database = static_cast<int>(config.database());
    sidekiq.name_space = config.namespace_();
    sidekiq.host = config.host();
    sidekiq.required = ToVector(config.required());
    FLEET_SET(config, latency_warn, sidekiq.latency_warn);
    FLEET_SET(config, latency_crit, sidekiq.latency_crit);
    FLEET_SET(config, retry_warn, sidekiq.retry_warn_jobs);
    FLEET_SET(config, dead_warn_per_hour, sidekiq.dead_warn_per_hour);
    std::set<std::string> names;
    for (int i = 0; i < config.queues_size(); ++i) {
      const v1::SidekiqQueueConfig& queue = config.queues(i);
      const std::string field = absl::StrCat("checks.sidekiq.queues[", i, "]");
      Unique(names, queue.name(), field + ".name");
      if (queue.name().empty()) loader_.AddProblem(field, "expected a name");
      SidekiqQueue& limits = sidekiq.queues.emplace_back();
      limits.name = queue.name();
      limits.latency_warn = sidekiq.latency_warn;
      limits.latency_crit = sidekiq.latency_crit;
      FLEET_SET(queue, latency_warn, limits.latency_warn);
      FLEET_SET(queue, latency_crit, limits.latency_crit);
    }
  }

  /// One of checks.minio.servers, or the keys of checks.minio itself.
  template <typename Config>
  MinioServer ToMinioServer(const Config& config, const std::string& field) {
    MinioServer server;
    server.url = config.url();
    if (!server.url.empty() && !absl::StartsWith(server.url, "http://") &&
        !absl::StartsWith(server.url, "https://")) {
      loader_.AddProblem(field + ".url",
                         absl::StrCat("expected http:// or https://, got ", Quote(server.url)));
    }
    if (!config.flavour().empty()) server.flavour = config.flavour();
    if (server.flavour != "minio" && server.flavour != "s3") {
      loader_.AddProblem(field + ".flavour", "expected minio or s3");
    }
    if (!config.metrics().empty()) server.metrics = config.metrics();
    if (server.metrics != "auto" && server.metrics != "v2" && server.metrics != "v3" &&
        server.metrics != "off") {
      loader_.AddProblem(field + ".metrics", "expected auto, v2, v3 or off");
    }
    server.token_file = config.token_file();
    SecretFile(server.token_file, field + ".token_file");
    server.ca_file = config.ca();
    SecretFile(server.ca_file, field + ".ca");
    const v1::MinioCanaryConfig& canary = config.canary();
    server.canary_bucket = canary.bucket();
    server.canary_access_key_file = canary.access_key_file();
    server.canary_secret_key_file = canary.secret_key_file();
    if (!canary.region().empty()) server.canary_region = canary.region();
    FLEET_SET(canary, interval, server.canary_interval);
    FLEET_SET(canary, latency_warn, server.canary_latency_warn);
    if (!config.has_canary()) return server;
    if (canary.bucket().empty()) loader_.AddProblem(field + ".canary", "expected a bucket");
    if (canary.access_key_file().empty() || canary.secret_key_file().empty()) {
      loader_.AddProblem(field + ".canary", "expected access_key_file and secret_key_file");
    }
    SecretFile(canary.access_key_file(), field + ".canary.access_key_file");
    SecretFile(canary.secret_key_file(), field + ".canary.secret_key_file");
    return server;
  }

  void ConvertMinio(const v1::MinioConfig& config) {
    Schedule("minio", true, config.schedule());
    MinioOptions& minio = settings_.checks.minio;
    FLEET_SET(config, capacity_warn, minio.capacity_warn_ratio);
    FLEET_SET(config, capacity_crit, minio.capacity_crit_ratio);
    minio.found = ToMinioServer(config, "checks.minio");
    if (!config.url().empty()) {
      minio.servers.push_back(minio.found);
      if (config.servers_size() > 0) {
        loader_.AddProblem("checks.minio.servers", "expected either url or servers");
      }
    }
    std::set<std::string> names;
    for (int i = 0; i < config.servers_size(); ++i) {
      const std::string field = absl::StrCat("checks.minio.servers[", i, "]");
      const v1::MinioServerConfig& one = config.servers(i);
      Unique(names, one.name(), field + ".name");
      MinioServer server = ToMinioServer(one, field);
      server.name = one.name();
      if (server.url.empty()) loader_.AddProblem(field, "expected a url");
      minio.servers.push_back(std::move(server));
    }
  }

  AgentSettings& settings_;
  ConfigLoader& loader_;
};

/// Two limits of one thing. A crit that is reached before its warn makes the warn silent for ever:
/// surely a slip.
struct LimitPair {
  const char* field;  // the one that must not be below, as agent.yaml names it
  const char* other;
  double value;
  double least;
};

void CheckOrder(const CheckOptions& checks, ConfigLoader& loader) {
  const auto seconds = [](absl::Duration span) { return absl::ToDoubleSeconds(span); };
  const DiskOptions& disk = checks.disk;
  const MemoryOptions& memory = checks.memory;
  const PostgresOptions& pg = checks.postgres;
  const LimitPair pairs[] = {
      {"checks.clock.offset_crit", "offset_warn", checks.clock.offset_crit_seconds,
       checks.clock.offset_warn_seconds},
      {"checks.disk.crit", "warn", disk.crit_ratio, disk.warn_ratio},
      {"checks.disk.inodes_crit", "inodes_warn", disk.inodes_crit_ratio, disk.inodes_warn_ratio},
      {"checks.disk.full_within_warn", "full_within_crit", seconds(disk.full_within_warn),
       seconds(disk.full_within_crit)},
      {"checks.kernel.files_crit", "files_warn", checks.kernel.files_crit_ratio,
       checks.kernel.files_warn_ratio},
      {"checks.load.crit_per_cpu", "warn_per_cpu", checks.load.crit_per_cpu,
       checks.load.warn_per_cpu},
      {"checks.memory.available_warn", "available_crit", memory.available_warn_ratio,
       memory.available_crit_ratio},
      {"checks.memory.pressure_crit", "pressure_warn", memory.pressure_crit_ratio,
       memory.pressure_warn_ratio},
      {"checks.minio.capacity_crit", "capacity_warn", checks.minio.capacity_crit_ratio,
       checks.minio.capacity_warn_ratio},
      {"checks.network.conntrack_crit", "conntrack_warn", checks.network.conntrack_crit_ratio,
       checks.network.conntrack_warn_ratio},
      {"checks.postgres.connections_crit", "connections_warn", pg.connections_crit_ratio,
       pg.connections_warn_ratio},
      {"checks.postgres.replay_lag_crit", "replay_lag_warn", seconds(pg.replay_lag_crit),
       seconds(pg.replay_lag_warn)},
      {"checks.postgres.lock_wait_crit", "lock_wait_warn", seconds(pg.lock_wait_crit),
       seconds(pg.lock_wait_warn)},
      {"checks.postgres.slot_retained_crit", "slot_retained_warn",
       static_cast<double>(pg.slot_retained_crit_bytes),
       static_cast<double>(pg.slot_retained_warn_bytes)},
      {"checks.redis.memory_crit", "memory_warn", checks.redis.memory_crit_ratio,
       checks.redis.memory_warn_ratio},
      {"checks.redis.clients_crit", "clients_warn", checks.redis.clients_crit_ratio,
       checks.redis.clients_warn_ratio},
      {"checks.sidekiq.latency_crit", "latency_warn", seconds(checks.sidekiq.latency_crit),
       seconds(checks.sidekiq.latency_warn)},
      {"checks.tinc.loss_crit", "loss_warn", checks.tinc.loss_crit_ratio,
       checks.tinc.loss_warn_ratio},
  };
  for (const LimitPair& pair : pairs) {
    if (pair.value >= pair.least) continue;
    loader.AddProblem(pair.field, absl::StrCat("expected no less than ", pair.other));
  }
}

}  // namespace

AgentSettings ToSettings(const v1::AgentConfig& config, ConfigLoader& loader) {
  AgentSettings settings;
  Converter(settings, loader).Convert(config);
  CheckOrder(settings.checks, loader);
  return settings;
}

}  // namespace fleet::agent
