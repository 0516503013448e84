#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/checks/checks.h"
#include "agent/checks/redis_judge.h"
#include "agent/checks/redis_metrics.h"
#include "agent/parse/redis_info.h"
#include "agent/redis/client.h"
#include "agent/redis/discover.h"
#include "agent/redis/local_servers.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// INFO COMMANDSTATS costs the server 29 µs and 4 KB where plain INFO costs 21 µs and 5 KB
/// (47 commands in use): once a minute is enough for counters.
constexpr absl::Duration kCommandStatsInterval = absl::Minutes(1);
constexpr int kDatabasesDefault = 16;

/// What is kept of one server between runs.
struct Server {
  explicit Server(const RedisServer& server) : client(server) {}

  RedisClient client;
  RedisHistory history;
  RedisInfoLayout layout;
  std::optional<RedisInfo> command_stats;
  SteadyTime command_stats_time;
  /// What was learned when the connection was made.
  int learned_on = 0;
  int databases = kDatabasesDefault;
  std::optional<double> maxclients;
  std::optional<double> io_threads;
  /// Commands this user may not run; not asked for again on this connection.
  bool slowlog_denied = false;
  bool latency_denied = false;
  /// By the last INFO, whether keys may be evicted.
  bool evicts = false;
};

class RedisCheck final : public Check {
 public:
  explicit RedisCheck(const CheckEnv& env)
      : options_(env.options.redis),
        sidekiq_prefix_(env.options.sidekiq.name_space.empty()
                            ? ""
                            : absl::StrCat(env.options.sidekiq.name_space, ":")),
        local_(env.fs, env.options.redis.servers) {}

  absl::Span<const MetricDesc> metrics() const override { return RedisMetrics(); }

  absl::Status Collect(CheckRun& run) override {
    FLEET_ASSIGN_OR_RETURN(const std::vector<RedisServer> wanted, local_.Servers(run));
    if (wanted.empty()) return absl::NotFoundError("no Redis listens here");

    std::map<std::string, std::unique_ptr<Server>> kept;
    absl::Status failure;
    size_t worked = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string& name = RedisServerName(wanted[i]);
      std::unique_ptr<Server>& server = kept[name];
      server = std::move(servers_[name]);
      if (server == nullptr) server = std::make_unique<Server>(wanted[i]);
      // A server that hangs may use up its share of the time and no more.
      const absl::Duration share = run.TimeLeft() * 0.8 / static_cast<double>(wanted.size() - i);
      RedisSamples samples(run, wanted.size() > 1 ? name : "");
      const absl::Status status = CollectServer(run, *server, name, samples, share);
      if (status.ok() || absl::IsPermissionDenied(status)) local_.Remember(run, wanted[i]);
      if (status.ok()) {
        samples.AddUp(true);
        ++worked;
      } else if (absl::IsUnavailable(status) && !local_.Expects(run, wanted[i])) {
        local_.Drop(wanted[i]);  // something else has this port
      } else {
        samples.AddUp(false);
        AddFailure(run, name, status);
        failure = status;
      }
    }
    servers_ = std::move(kept);
    // One dead server of several is an item; with none left there was nothing to measure.
    if (worked > 0) return absl::OkStatus();
    if (failure.ok()) return absl::NotFoundError("no Redis listens here");
    return absl::IsPermissionDenied(failure) ? failure
                                             : absl::UnavailableError(FailureReason(failure));
  }

 private:
  static std::string FailureReason(const absl::Status& status) {
    if (absl::IsDeadlineExceeded(status)) {
      return "accepts connections but does not answer: stopped, or busy with one command";
    }
    return std::string(status.message());
  }

  static void AddFailure(CheckRun& run, const std::string& name, const absl::Status& status) {
    if (absl::IsPermissionDenied(status)) {
      run.AddUnknownItem(name, UnknownKind::kBlind, status.message());
    } else {
      run.AddItem(name, Verdict::kCrit, FailureReason(status));
    }
  }

  /// The commands of one exchange, and where the answer of each will be.
  struct Questions {
    std::vector<RedisCommand> commands;
    std::optional<size_t> command_stats, sidekiq, slowlog, latency, config;

    size_t Ask(RedisCommand command) {
      commands.push_back(std::move(command));
      return commands.size() - 1;
    }
  };

  /// Everything in one exchange; a second one when there is more to ask than was known before:
  /// after a connection was made, or when the answer to INFO has changed.
  absl::Status CollectServer(CheckRun& run, Server& server, const std::string& name,
                             RedisSamples& samples, absl::Duration share) {
    const SteadyTime start = Clock::Real().SteadyNow();
    Questions first;
    first.Ask({"INFO"});
    first.Ask({"PING"});
    if (!server.command_stats ||
        run.steady_now() - server.command_stats_time >= kCommandStatsInterval) {
      first.command_stats = first.Ask({"INFO", "COMMANDSTATS"});
    }
    const bool known = server.learned_on > 0 && server.learned_on == server.client.connections();
    if (known) AskMore(server, first);
    FLEET_ASSIGN_OR_RETURN(const std::vector<RedisReply> replies,
                           server.client.Run(first.commands, share));
    RedisFacts facts;
    facts.ping = Clock::Real().SteadyNow() - start;
    if (replies[0].error()) return RedisErrorStatus(replies[0].text);
    FLEET_ASSIGN_OR_RETURN(const RedisInfo info, ParseRedisInfo(replies[0].text));
    if (replies[1].Is("MISCONF")) facts.writes_refused = true;
    if (first.command_stats && !replies[*first.command_stats].error()) {
      // Empty right after CONFIG RESETSTAT.
      server.command_stats =
          ParseRedisInfo(replies[*first.command_stats].text).value_or(RedisInfo());
      server.command_stats_time = run.steady_now();
    }

    // Eviction is a way of life for a cache and a loss of jobs for Sidekiq.
    const bool evicts =
        info.NumberOrZero("maxmemory") > 0 && info.Text("maxmemory_policy") != "noeviction";
    const bool evicts_anew = evicts && !std::exchange(server.evicts, evicts);
    const bool learn = server.learned_on != server.client.connections();
    if (!learn && !evicts_anew) {
      TakeMore(replies, first, server, samples, facts);
    } else {
      if (learn) server.slowlog_denied = server.latency_denied = false;
      Questions second;
      AskMore(server, second);
      // The user that `fleet-agent redis-acl` makes may not read the configuration: it holds
      // passwords.
      if (learn && server.client.server().user.empty()) {
        second.config = second.Ask({"CONFIG", "GET", "databases"});
        second.Ask({"CONFIG", "GET", "io-threads"});
        second.Ask({"CONFIG", "GET", "maxclients"});
      }
      if (!second.commands.empty()) {
        const absl::Duration left = share - (Clock::Real().SteadyNow() - start);
        FLEET_ASSIGN_OR_RETURN(const std::vector<RedisReply> more,
                               server.client.Run(second.commands, left));
        TakeMore(more, second, server, samples, facts);
      }
      server.learned_on = server.client.connections();
    }

    samples.AddPing(facts.ping);
    samples.AddInfo(info, info.Text("cluster_enabled") == "1" ? 1 : server.databases,
                    server.layout);
    if (server.io_threads) samples.AddIoThreads(*server.io_threads);
    if (server.command_stats) {
      samples.AddCommandStats(*server.command_stats, run.steady_now() - server.command_stats_time);
    }
    facts.maxclients = info.Number("maxclients").value_or(server.maxclients.value_or(0));
    const RedisJudgement judgement =
        JudgeRedis(info, facts, options_, run.steady_now(), server.history);
    run.AddItem(name, judgement.verdict, judgement.reason);
    return absl::OkStatus();
  }

  /// What INFO does not say. A command this user may not run is left out, and not tried again
  /// until the next connection: every refusal is a line in the server's ACL LOG.
  void AskMore(const Server& server, Questions& questions) const {
    if (server.evicts) {
      questions.sidekiq = questions.Ask({"EXISTS", absl::StrCat(sidekiq_prefix_, "queues")});
    }
    if (!server.slowlog_denied) questions.slowlog = questions.Ask({"SLOWLOG", "LEN"});
    if (!server.latency_denied) questions.latency = questions.Ask({"LATENCY", "LATEST"});
  }

  static void TakeMore(const std::vector<RedisReply>& replies, const Questions& questions,
                       Server& server, RedisSamples& samples, RedisFacts& facts) {
    if (questions.sidekiq) facts.sidekiq_lives_here = replies[*questions.sidekiq].integer > 0;
    if (questions.slowlog) {
      const RedisReply& reply = replies[*questions.slowlog];
      server.slowlog_denied = reply.error();
      if (!reply.error()) samples.AddSlowlogLength(static_cast<double>(reply.integer));
    }
    if (questions.latency) {
      const RedisReply& reply = replies[*questions.latency];
      server.latency_denied = reply.error();
      if (!reply.error()) samples.AddLatencyLatest(reply);
    }
    if (questions.config) {
      server.databases = static_cast<int>(std::clamp(
          ConfigValue(replies[*questions.config]).value_or(kDatabasesDefault), 1.0, 128.0));
      server.io_threads = ConfigValue(replies[*questions.config + 1]);
      server.maxclients = ConfigValue(replies[*questions.config + 2]);
    }
  }

  /// The number CONFIG GET answered; nullopt when it may not be asked or there is no such setting.
  static std::optional<double> ConfigValue(const RedisReply& reply) {
    double value = 0;
    if (reply.elements.size() != 2 || !absl::SimpleAtod(reply.elements[1].text, &value)) {
      return std::nullopt;
    }
    return value;
  }

  const RedisOptions options_;
  const std::string sidekiq_prefix_;
  LocalRedisServers local_;
  std::map<std::string, std::unique_ptr<Server>> servers_;
};

}  // namespace

std::unique_ptr<Check> MakeRedisCheck(const CheckEnv& env) {
  return std::make_unique<RedisCheck>(env);
}

}  // namespace fleet::agent
