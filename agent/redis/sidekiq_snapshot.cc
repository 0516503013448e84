#include "agent/redis/sidekiq_snapshot.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kProcessLife = absl::Seconds(60);  // of its hash after a heartbeat
constexpr absl::Duration kOverdue = absl::Seconds(60);

/// For each list: when its oldest job was enqueued, as text; empty without a job, "?" when it does
/// not say. A huge job is not decoded: its own keys are the last ones written, behind `args`.
constexpr char kOldestScript[] = R"(
local out = {}
for i, key in ipairs(KEYS) do
  local job, at = redis.call('LINDEX', key, -1), nil
  if not job then
    out[i] = ''
  else
    if #job <= 65536 then
      local ok, t = pcall(cjson.decode, job)
      if ok and type(t) == 'table' then at = t.enqueued_at or t.created_at end
    else
      for v in string.gmatch(string.sub(job, -4096), '"enqueued_at":([%d%.]+)') do
        at = tonumber(v)
      end
    end
    out[i] = type(at) == 'number' and string.format('%.17g', at) or '?'
  end
end
return out)";

/// What every reply of a pipeline but the named ones must be.
absl::Status FirstError(const std::vector<RedisReply>& replies) {
  for (const RedisReply& reply : replies) {
    if (reply.error()) return RedisErrorStatus(reply.text);
  }
  return absl::OkStatus();
}

double Number(const RedisReply& reply) {
  if (reply.kind == RedisReply::Kind::kInteger) return static_cast<double>(reply.integer);
  double value = 0;
  return absl::SimpleAtod(reply.text, &value) && std::isfinite(value) ? value : 0;
}

std::vector<std::string> Members(const RedisReply& reply) {
  std::vector<std::string> members;
  for (const RedisReply& element : reply.elements) members.push_back(element.text);
  std::sort(members.begin(), members.end());
  return members;
}

std::string Score(absl::Time time) { return absl::StrCat(absl::ToUnixSeconds(time)); }

/// HMGET info busy quiet rss concurrency and PTTL as a process; nullopt when it is gone.
absl::StatusOr<std::optional<SidekiqProcess>> ToProcess(const std::string& identity,
                                                        const RedisReply& hash,
                                                        const RedisReply& life_ms) {
  if (hash.elements.size() != 5 || hash.elements[0].nil()) return std::nullopt;
  SidekiqProcess process;
  process.identity = identity;
  FLEET_ASSIGN_OR_RETURN(process.info, ParseSidekiqInfo(hash.elements[0].text));
  process.busy = Number(hash.elements[1]);
  process.quiet = hash.elements[2].text == "true";
  process.rss_bytes = Number(hash.elements[3]) * 1024;
  if (!hash.elements[4].nil()) process.info.concurrency = Number(hash.elements[4]);
  // The hash lives for a minute from each heartbeat. Its field `beat` is by the worker's clock.
  if (life_ms.integer >= 0) {
    process.beat_age =
        std::max(absl::ZeroDuration(), kProcessLife - absl::Milliseconds(life_ms.integer));
  }
  return process;
}

}  // namespace

std::optional<absl::Time> SidekiqTime(absl::string_view number) {
  double value = 0;
  if (!absl::SimpleAtod(number, &value) || !std::isfinite(value) || value <= 0 || value > 1e15) {
    return std::nullopt;
  }
  return absl::UnixEpoch() + (value > 1e11 ? absl::Milliseconds(value) : absl::Seconds(value));
}

absl::StatusOr<SidekiqSnapshot> SidekiqReader::Read(RedisClient& client, absl::Duration timeout) {
  SidekiqSnapshot snapshot;
  std::vector<std::string> identities;
  const SteadyTime start = Clock::Real().SteadyNow();
  const auto left = [start, timeout] { return timeout - (Clock::Real().SteadyNow() - start); };
  FLEET_RETURN_IF_ERROR(ReadTotals(client, left(), snapshot, identities));
  FLEET_RETURN_IF_ERROR(ReadParts(client, left(), identities, snapshot));
  ReadLatencies(client, left(), snapshot);
  return snapshot;
}

absl::Status SidekiqReader::ReadTotals(RedisClient& client, absl::Duration timeout,
                                       SidekiqSnapshot& snapshot,
                                       std::vector<std::string>& identities) {
  const std::vector<RedisCommand> commands = {
      {"TIME"},
      {"SMEMBERS", Key("queues")},
      {"SMEMBERS", Key("processes")},
      {"MGET", Key("stat:processed"), Key("stat:failed")},
      {"ZCARD", Key("retry")},
      {"ZCARD", Key("schedule")},
      {"ZCARD", Key("dead")},
      {"SMEMBERS", Key("paused")},
  };
  FLEET_ASSIGN_OR_RETURN(const std::vector<RedisReply> replies, client.Run(commands, timeout));
  // Another program's keys may bear these names.
  for (const RedisReply& reply : replies) {
    if (reply.Is("WRONGTYPE")) return absl::NotFoundError("no Sidekiq keys");
  }
  FLEET_RETURN_IF_ERROR(FirstError(replies));
  const std::vector<std::string> queues = Members(replies[1]);
  identities = Members(replies[2]);
  if (replies[0].elements.size() != 2 || replies[3].elements.size() != 2) {
    return absl::InvalidArgumentError("TIME or MGET without two values");
  }
  if (queues.empty() && identities.empty() && replies[3].elements[0].nil()) {
    return absl::NotFoundError("no Sidekiq keys");
  }
  snapshot.now = absl::FromUnixSeconds(static_cast<int64_t>(Number(replies[0].elements[0]))) +
                 absl::Microseconds(Number(replies[0].elements[1]));
  snapshot.processed = Number(replies[3].elements[0]);
  snapshot.failed = Number(replies[3].elements[1]);
  snapshot.retry = Number(replies[4]);
  snapshot.scheduled = Number(replies[5]);
  snapshot.dead = Number(replies[6]);
  const std::vector<std::string> paused = Members(replies[7]);
  for (const std::string& name : queues) {
    if (snapshot.queues.size() == kSidekiqQueuesMax) break;
    SidekiqQueueState& queue = snapshot.queues.emplace_back();
    queue.name = name;
    queue.paused = std::binary_search(paused.begin(), paused.end(), name);
  }
  snapshot.queues_left_out = queues.size() - snapshot.queues.size();
  snapshot.processes_listed = static_cast<double>(identities.size());
  if (identities.size() > kSidekiqProcessesMax) identities.resize(kSidekiqProcessesMax);
  return absl::OkStatus();
}

absl::Status SidekiqReader::ReadParts(RedisClient& client, absl::Duration timeout,
                                      const std::vector<std::string>& identities,
                                      SidekiqSnapshot& snapshot) {
  const std::string overdue = Score(snapshot.now - kOverdue);
  std::vector<RedisCommand> commands = {
      {"ZCOUNT", Key("retry"), "-inf", overdue},
      {"ZCOUNT", Key("schedule"), "-inf", overdue},
      {"ZCOUNT", Key("dead"), Score(snapshot.now - absl::Hours(1)), "+inf"},
  };
  for (const SidekiqQueueState& queue : snapshot.queues) {
    commands.push_back({"LLEN", Key(absl::StrCat("queue:", queue.name))});
  }
  for (const std::string& identity : identities) {
    commands.push_back({"HMGET", Key(identity), "info", "busy", "quiet", "rss", "concurrency"});
    commands.push_back({"PTTL", Key(identity)});
  }
  FLEET_ASSIGN_OR_RETURN(const std::vector<RedisReply> replies, client.Run(commands, timeout));
  FLEET_RETURN_IF_ERROR(FirstError(replies));
  snapshot.retry_overdue = Number(replies[0]);
  snapshot.scheduled_overdue = Number(replies[1]);
  snapshot.died_last_hour = Number(replies[2]);
  size_t next = 3;
  for (SidekiqQueueState& queue : snapshot.queues) queue.jobs = Number(replies[next++]);
  for (const std::string& identity : identities) {
    FLEET_ASSIGN_OR_RETURN(auto process, ToProcess(identity, replies[next], replies[next + 1]));
    next += 2;
    if (process) snapshot.processes.push_back(*std::move(process));
  }
  return absl::OkStatus();
}

void SidekiqReader::ReadLatencies(RedisClient& client, absl::Duration timeout,
                                  SidekiqSnapshot& snapshot) {
  std::vector<SidekiqQueueState*> waiting;
  for (SidekiqQueueState& queue : snapshot.queues) {
    if (queue.jobs > 0) waiting.push_back(&queue);
  }
  if (waiting.empty()) return;
  if (refused_on_ == client.connections() && !refused_.ok()) {
    snapshot.latency_status = refused_;
    return;
  }
  RedisCommand command = {eval_, kOldestScript, absl::StrCat(waiting.size())};
  for (const SidekiqQueueState* queue : waiting) {
    command.push_back(Key(absl::StrCat("queue:", queue->name)));
  }
  auto replies = client.Run({command}, timeout);
  if (replies.ok() && eval_ == "EVAL_RO" && replies->front().Is("ERR unknown command")) {
    eval_ = command[0] = "EVAL";
    replies = client.Run({command}, timeout);
  }
  if (replies.ok() && replies->front().error()) {
    refused_ = RedisErrorStatus(replies->front().text);
    refused_on_ = client.connections();
    snapshot.latency_status = refused_;
    return;
  }
  snapshot.latency_status = replies.status();
  if (!replies.ok() || replies->front().elements.size() != waiting.size()) return;
  for (size_t i = 0; i < waiting.size(); ++i) {
    const auto enqueued = SidekiqTime(replies->front().elements[i].text);
    if (!enqueued) continue;
    waiting[i]->latency = std::max(absl::ZeroDuration(), snapshot.now - *enqueued);
  }
}

}  // namespace fleet::agent
