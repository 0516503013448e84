#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

/// What the configuration says about each check, as plain values: checks see neither YAML nor
/// proto. Defaults here are the defaults of the product. Filled by agent/config.cc; documented for
/// the admin in proto/fleet/v1/agent_config.proto.
namespace fleet::agent {

struct DiskOptions {
  double warn_ratio = 0.85;  // used space, as df counts it
  double crit_ratio = 0.95;
  double inodes_warn_ratio = 0.90;
  double inodes_crit_ratio = 0.98;
  absl::Duration full_within_warn = absl::Hours(72);
  absl::Duration full_within_crit = absl::Hours(8);
  std::vector<std::string> ignore;  // mount points without verdict
};

struct MemoryOptions {
  double available_warn_ratio = 0.10;  // of MemTotal
  double available_crit_ratio = 0.04;
  double pressure_warn_ratio = 0.20;  // share of time some task waited for memory
  double pressure_crit_ratio = 0.60;
  double swap_warn_ratio = 0.80;
};

struct CpuOptions {
  double pressure_warn_ratio = 0.90;
};

struct LoadOptions {
  double warn_per_cpu = 4;  // 5-minute load average per online CPU
  double crit_per_cpu = 16;
};

struct KernelOptions {
  double files_warn_ratio = 0.80;  // open files of the whole machine, of fs.file-max
  double files_crit_ratio = 0.95;
};

struct NetworkOptions {
  std::vector<std::string> expect_up;  // links that must be up
  double conntrack_warn_ratio = 0.80;  // of the connection tracking table
  double conntrack_crit_ratio = 0.95;
};

struct ClockOptions {
  double offset_warn_seconds = 0.1;
  double offset_crit_seconds = 1;
};

struct SystemdOptions {
  std::vector<std::string> ignore;    // units whose failure is no news (globs)
  std::vector<std::string> required;  // units that must be active
};

struct RaidOptions {
  absl::Duration check_age_note = absl::Hours(24 * 40);
  absl::Duration pending_warn = absl::Hours(24);
};

struct TincPeer {
  std::string name;
  std::string address;  // inside the VPN; empty: from hosts/NAME's Subnet
};

struct TincOptions {
  std::string net;  // empty: every /etc/tinc/*/tinc.conf
  /// Must be up. Empty: what tinc.conf names in ConnectTo, and every hosts/ file with an Address (a
  /// server's) once it has answered.
  std::vector<TincPeer> peers;
  /// May come and go. Empty, and `peers` too: every other hosts/ file. Anyone else is warn.
  std::vector<std::string> allowed;
  bool presence = true;  // whether not seeing who is on the VPN is worth a verdict
  double rtt_warn_seconds = 0.5;
  double loss_warn_ratio = 0.05;
  double loss_crit_ratio = 0.50;
  uint16_t echo_port = 10235;
  std::string hook_state;  // file that `fleet-agent tinc-hook` appends to; empty: the default path
};

struct PostgresServer {
  std::string name;  // the `server` label and item; empty: host:port of the dsn
  std::string dsn;   // libpq keywords, without password
  std::string password_file;
};

struct PostgresOptions {
  std::vector<PostgresServer> servers;  // empty: found by their sockets
  double connections_warn_ratio = 0.80;
  double connections_crit_ratio = 0.95;
  absl::Duration idle_in_transaction_warn = absl::Minutes(5);
  absl::Duration transaction_warn = absl::Hours(1);
  absl::Duration lock_wait_warn = absl::Minutes(1);
  absl::Duration lock_wait_crit = absl::Minutes(10);
  absl::Duration replay_lag_warn = absl::Minutes(1);
  absl::Duration replay_lag_crit = absl::Minutes(10);
  absl::Duration archiver_failing_crit = absl::Minutes(10);
  absl::Duration sizes_interval = absl::Minutes(10);
  double wraparound_warn_xids = 1.0e9;
  double wraparound_crit_xids = 1.5e9;
  int64_t slot_retained_warn_bytes = int64_t{4} << 30;  // WAL that a replication slot holds back
  int64_t slot_retained_crit_bytes = int64_t{32} << 30;
};

struct RedisServer {
  std::string name;     // item, and the `server` label when there are several; empty: address
  std::string address;  // host:port or /path/to/socket
  std::string user;
  std::string password_file;
};

struct RedisOptions {
  std::vector<RedisServer> servers;  // empty: found by their listening sockets
  double memory_warn_ratio = 0.85;   // of maxmemory
  double memory_crit_ratio = 0.95;
  double clients_warn_ratio = 0.80;
  double clients_crit_ratio = 0.95;
  absl::Duration latency_warn = absl::Milliseconds(100);
};

struct SidekiqQueue {
  std::string name;
  absl::Duration latency_warn = absl::Minutes(1);
  absl::Duration latency_crit = absl::Minutes(5);
};

struct SidekiqOptions {
  RedisServer redis;  // empty address: the local Redis that holds Sidekiq's keys
  int database = 0;
  std::string name_space;             // "mastodon" for keys "mastodon:queues"
  std::string host;                   // which host the workers run on
  std::vector<SidekiqQueue> queues;   // own limits per queue
  std::vector<std::string> required;  // queues that must be served even when empty
  absl::Duration latency_warn = absl::Minutes(1);
  absl::Duration latency_crit = absl::Minutes(5);
  double retry_warn_jobs = 1000;
  double dead_warn_per_hour = 100;
};

struct MinioServer {
  std::string name;               // in items, and as `server` label, when there are several
  std::string url;                // http://127.0.0.1:9000
  std::string flavour = "minio";  // minio, s3
  std::string token_file;         // bearer token for metrics
  std::string metrics = "auto";   // auto, v2, v3, off
  std::string ca_file;
  /// PUT/GET/DELETE of one small object; off without a bucket.
  std::string canary_bucket;
  std::string canary_access_key_file;
  std::string canary_secret_key_file;
  std::string canary_region = "us-east-1";
  absl::Duration canary_interval = absl::Minutes(1);
  absl::Duration canary_latency_warn = absl::Seconds(5);  // of the three together
};

struct MinioOptions {
  std::vector<MinioServer> servers;  // empty: found on port 9000
  MinioServer found;                 // how to treat those found: all but name and url
  double capacity_warn_ratio = 0.85;
  double capacity_crit_ratio = 0.95;
};

struct CheckOptions {
  DiskOptions disk;
  MemoryOptions memory;
  CpuOptions cpu;
  LoadOptions load;
  KernelOptions kernel;
  NetworkOptions network;
  ClockOptions clock;
  SystemdOptions systemd;
  RaidOptions raid;
  TincOptions tinc;
  PostgresOptions postgres;
  RedisOptions redis;
  SidekiqOptions sidekiq;
  MinioOptions minio;
};

}  // namespace fleet::agent
