#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/redis/client.h"
#include "agent/redis/sidekiq_process.h"

namespace fleet::agent {

struct SidekiqQueueState {
  std::string name;
  double jobs = 0;
  /// How long the oldest job has waited; nullopt for an empty queue, or when it is not known.
  std::optional<absl::Duration> latency;
  bool paused = false;  // Sidekiq Pro
};

struct SidekiqProcess {
  std::string identity;  // "host:pid:nonce"
  SidekiqInfo info;
  double busy = 0;  // threads at work
  bool quiet = false;
  double rss_bytes = 0;
  absl::Duration beat_age;  // by the server's own clock
};

/// Sidekiq as its Redis shows it at one moment.
struct SidekiqSnapshot {
  absl::Time now;                         // of the Redis server
  std::vector<SidekiqQueueState> queues;  // sorted by name
  std::vector<SidekiqProcess> processes;  // live ones
  double processes_listed = 0;            // dead ones that said no goodbye included
  double processed = 0;                   // since ever; failed runs included
  double failed = 0;
  double retry = 0;  // jobs in each set
  double scheduled = 0;
  double dead = 0;
  double retry_overdue = 0;  // due for more than a minute: nobody polls
  double scheduled_overdue = 0;
  double died_last_hour = 0;
  size_t queues_left_out = 0;   // past kSidekiqQueuesMax
  absl::Status latency_status;  // why no latency is known
};

inline constexpr size_t kSidekiqQueuesMax = 500;
inline constexpr size_t kSidekiqProcessesMax = 1000;

/// Reads Sidekiq's fixed keys in one round trip, in bytes O(queues + processes) whatever the number
/// of jobs; in two when queues or processes came or went since the last time. A job never leaves
/// the server: when the oldest of a queue was enqueued is read by a script there, which answers
/// with that number alone.
class SidekiqReader {
 public:
  /// `name_space` is "mastodon" where keys read "mastodon:queues".
  explicit SidekiqReader(const std::string& name_space)
      : prefix_(name_space.empty() ? "" : name_space + ":") {}

  /// Errors: kNotFound when there are no Sidekiq keys; kPermissionDenied; kInvalidArgument for what
  /// Sidekiq does not write; else as RedisClient::Run.
  absl::StatusOr<SidekiqSnapshot> Read(RedisClient& client, absl::Duration timeout);

 private:
  std::string Key(absl::string_view name) const { return prefix_ + std::string(name); }
  /// What the second half of the questions is about.
  struct Parts {
    std::vector<std::string> queues;      // sorted
    std::vector<std::string> identities;  // of processes, sorted
    absl::Time now;                       // of the server
    bool scripts = true;                  // not known to be refused
  };
  void AskTotals(std::vector<RedisCommand>& commands) const;
  absl::Status TakeTotals(absl::Span<const RedisReply> replies, SidekiqSnapshot& snapshot,
                          Parts& parts) const;
  void AskParts(const Parts& parts, std::vector<RedisCommand>& commands) const;
  absl::Status TakeParts(absl::Span<const RedisReply> replies, const Parts& parts,
                         RedisClient& client, absl::Duration timeout, SidekiqSnapshot& snapshot);
  RedisCommand OldestCommand(const Parts& parts) const;
  void TakeLatencies(RedisReply reply, const Parts& parts, RedisClient& client,
                     absl::Duration timeout, SidekiqSnapshot& snapshot);

  const std::string prefix_;
  /// EVAL_RO (Redis 7), or EVAL.
  std::string eval_ = "EVAL_RO";
  /// Why scripts are refused, as learned on connection number `refused_on_`.
  absl::Status refused_;
  int refused_on_ = 0;
  /// What there was the last time, and when: asked for again before it is known whether it is
  /// still all there is.
  std::optional<Parts> last_;
  SteadyTime last_read_;
};

/// When a job was enqueued, from the number Sidekiq wrote: float seconds up to version 7, integer
/// milliseconds since 8. nullopt for anything else.
std::optional<absl::Time> SidekiqTime(absl::string_view number);

}  // namespace fleet::agent
