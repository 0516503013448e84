#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/checks/checks.h"
#include "agent/checks/sidekiq_judge.h"
#include "agent/redis/client.h"
#include "agent/redis/discover.h"
#include "agent/redis/local_servers.h"
#include "agent/redis/sidekiq_snapshot.h"
#include "common/address.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// The field's exporter is Strech/sidekiq-prometheus-exporter.
constexpr MetricDesc kMetrics[] = {
    {"sidekiq_processed_jobs_total", MetricType::kCounter, "Jobs processed, failed runs included.",
     true},
    {"sidekiq_failed_jobs_total", MetricType::kCounter, "Runs of jobs that failed.", true},
    {"sidekiq_workers", MetricType::kGauge, "Threads of all live processes.", true},
    {"sidekiq_processes", MetricType::kGauge,
     "Processes listed, those that died without a word included.", true},
    {"sidekiq_busy_workers", MetricType::kGauge, "Threads that perform a job.", true},
    {"sidekiq_enqueued_jobs", MetricType::kGauge, "Jobs in all queues.", true},
    {"sidekiq_scheduled_jobs", MetricType::kGauge, "Jobs scheduled for later.", true},
    {"sidekiq_retry_jobs", MetricType::kGauge, "Jobs that failed and will be retried.", true},
    {"sidekiq_dead_jobs", MetricType::kGauge, "Jobs that failed for good.", true},
    {"sidekiq_queue_latency_seconds", MetricType::kGauge,
     "Time the oldest job of the queue has waited.", true},
    {"sidekiq_queue_enqueued_jobs", MetricType::kGauge, "Jobs in the queue.", true},
    {"sidekiq_queue_workers", MetricType::kGauge, "Threads that serve the queue.", true},
    {"sidekiq_queue_processes", MetricType::kGauge, "Live processes that serve the queue.", true},
    {"fleet_sidekiq_live_processes", MetricType::kGauge,
     "Processes with a heartbeat within the last minute."},
    {"fleet_sidekiq_quiet_processes", MetricType::kGauge, "Live processes that take no new jobs."},
    {"fleet_sidekiq_overdue_jobs", MetricType::kGauge,
     "Jobs of the set that were due more than a minute ago."},
    {"fleet_sidekiq_recently_dead_jobs", MetricType::kGauge,
     "Jobs that failed for good within the last hour."},
    {"fleet_sidekiq_resident_bytes", MetricType::kGauge,
     "Resident set size of all live processes."},
};

enum Metric : size_t {
  kProcessed,
  kFailed,
  kWorkers,
  kProcesses,
  kBusyWorkers,
  kEnqueued,
  kScheduled,
  kRetry,
  kDead,
  kQueueLatency,
  kQueueEnqueued,
  kQueueWorkers,
  kQueueProcesses,
  kLive,
  kQuiet,
  kOverdue,
  kRecentlyDead,
  kResident,
};

/// Under which the address of the Redis that holds the keys is remembered.
constexpr absl::string_view kMemoryKey = "redis";
/// How often the servers of a host without Sidekiq are asked whether they hold its keys by now: at
/// every third of the ticks on which what is not there is looked for, also when one comes early.
constexpr absl::Duration kSearchInterval = absl::Seconds(25);

class SidekiqCheck final : public Check {
 public:
  explicit SidekiqCheck(const CheckEnv& env)
      : options_(env.options.sidekiq),
        redis_servers_(env.options.redis.servers),
        live_(env.fs.live()),
        local_(env.fs, env.options.redis.servers),
        reader_(env.options.sidekiq.name_space) {}

  absl::Span<const MetricDesc> metrics() const override { return kMetrics; }

  absl::Status Collect(CheckRun& run) override {
    if (!options_.redis.address.empty()) {
      return Finish(run, Try(run, options_.redis));
    }
    if (!live_ && redis_servers_.empty()) return absl::NotFoundError("no Redis to ask");
    absl::Status status = absl::NotFoundError("no Redis here holds Sidekiq's keys");
    if (const std::string* address = run.memory().Find(kMemoryKey)) {
      status = Try(run, Server(*address));
      if (!absl::IsNotFound(status)) return Finish(run, status);
    }
    if (searched_ && run.steady_now() - *searched_ < kSearchInterval) return status;
    searched_ = run.steady_now();
    // Nobody said there is a Sidekiq: a Redis that does not answer is the redis check's matter.
    FLEET_ASSIGN_OR_RETURN(const std::vector<RedisServer> servers, local_.Servers(run));
    for (const RedisServer& server : servers) {
      const absl::Status tried = Try(run, server);
      if (!tried.ok()) continue;
      run.memory().Set(kMemoryKey, server.address);
      searched_.reset();
      return tried;
    }
    return status;
  }

 private:
  /// The configured server with this address, for its credentials; else the address alone.
  RedisServer Server(const std::string& address) const {
    for (const RedisServer& server : redis_servers_) {
      if (server.address == address) return server;
    }
    RedisServer server;
    server.address = address;
    return server;
  }

  /// What the redis check of this host calls `server`, as a parent; empty for one elsewhere.
  std::string Parent(const RedisServer& server) const {
    for (const RedisServer& known : redis_servers_) {
      if (known.address == server.address) return absl::StrCat("./redis/", RedisServerName(known));
    }
    if (!redis_servers_.empty()) return "";
    if (absl::StartsWith(server.address, "/")) return absl::StrCat("./redis/", server.address);
    const auto address = ParseAddress(server.address);
    if (options_.redis.address.empty()) return absl::StrCat("./redis/", server.address);
    if (!address.ok() || !IsLoopback(address->host)) return "";
    return absl::StrCat("./redis/", address->host == "localhost"
                                        ? absl::StrCat("127.0.0.1:", address->port)
                                        : server.address);
  }

  /// A Sidekiq whose Redis is down is not known to be ill: its verdict follows from the cause.
  absl::Status Finish(CheckRun& run, const absl::Status& status) const {
    if (status.ok() || absl::IsNotFound(status) || absl::IsPermissionDenied(status)) return status;
    const RedisServer& server = asked_->server();
    run.SetParent(Parent(server));
    return absl::AbortedError(
        absl::StrCat("redis ", RedisServerName(server), ": ",
                     absl::IsDeadlineExceeded(status) ? "does not answer" : status.message()));
  }

  absl::Status Try(CheckRun& run, const RedisServer& server) {
    if (asked_ == nullptr || asked_->server().address != server.address) {
      asked_ = std::make_unique<RedisClient>(server, options_.database);
    }
    FLEET_ASSIGN_OR_RETURN(const SidekiqSnapshot snapshot,
                           reader_.Read(*asked_, run.TimeLeft() * 0.8));
    AddSamples(run, snapshot);
    for (Item& item : JudgeSidekiq(snapshot, options_, run.steady_now(), history_)) {
      run.AddItem(item.name, item.verdict) = std::move(item);
    }
    return absl::OkStatus();
  }

  static void AddSamples(CheckRun& run, const SidekiqSnapshot& snapshot) {
    double threads = 0, busy = 0, quiet = 0, resident = 0, enqueued = 0;
    for (const SidekiqProcess& process : snapshot.processes) {
      threads += process.info.concurrency;
      busy += process.busy;
      quiet += process.quiet ? 1 : 0;
      resident += process.rss_bytes;
    }
    for (const SidekiqQueueState& queue : snapshot.queues) enqueued += queue.jobs;
    run.Add(kMetrics[kProcessed], snapshot.processed);
    run.Add(kMetrics[kFailed], snapshot.failed);
    run.Add(kMetrics[kWorkers], threads);
    run.Add(kMetrics[kProcesses], snapshot.processes_listed);
    run.Add(kMetrics[kBusyWorkers], busy);
    run.Add(kMetrics[kEnqueued], enqueued);
    run.Add(kMetrics[kScheduled], snapshot.scheduled);
    run.Add(kMetrics[kRetry], snapshot.retry);
    run.Add(kMetrics[kDead], snapshot.dead);
    run.Add(kMetrics[kLive], static_cast<double>(snapshot.processes.size()));
    run.Add(kMetrics[kQuiet], quiet);
    run.Add(kMetrics[kOverdue], {{{"set", "retry"}}}, snapshot.retry_overdue);
    run.Add(kMetrics[kOverdue], {{{"set", "schedule"}}}, snapshot.scheduled_overdue);
    run.Add(kMetrics[kRecentlyDead], snapshot.died_last_hour);
    run.Add(kMetrics[kResident], resident);
    for (const SidekiqQueueState& queue : snapshot.queues) AddQueueSamples(run, snapshot, queue);
  }

  static void AddQueueSamples(CheckRun& run, const SidekiqSnapshot& snapshot,
                              const SidekiqQueueState& queue) {
    const Label name = {"name", queue.name};
    run.Add(kMetrics[kQueueEnqueued], {name}, queue.jobs);
    if (queue.latency || queue.jobs == 0) {
      run.Add(kMetrics[kQueueLatency], {name},
              absl::ToDoubleSeconds(queue.latency.value_or(absl::ZeroDuration())));
    }
    double threads = 0, processes = 0;
    for (const SidekiqProcess& process : snapshot.processes) {
      for (const std::string& served : process.info.queues) {
        if (served != queue.name) continue;
        threads += process.info.concurrency;
        ++processes;
      }
    }
    run.Add(kMetrics[kQueueWorkers], {name}, threads);
    run.Add(kMetrics[kQueueProcesses], {name}, processes);
  }

  const SidekiqOptions options_;
  const std::vector<RedisServer> redis_servers_;
  const bool live_;
  LocalRedisServers local_;
  SidekiqReader reader_;
  std::unique_ptr<RedisClient> asked_;
  SidekiqHistory history_;
  std::optional<SteadyTime> searched_;  // the last time in vain
};

}  // namespace

std::unique_ptr<Check> MakeSidekiqCheck(const CheckEnv& env) {
  return std::make_unique<SidekiqCheck>(env);
}

}  // namespace fleet::agent
