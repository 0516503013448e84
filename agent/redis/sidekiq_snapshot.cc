#include "agent/redis/sidekiq_snapshot.h"

#include <algorithm>
#include <cmath>
#include <utility>

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
absl::Status FirstError(absl::Span<const RedisReply> replies) {
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
  const SteadyTime start = Clock::Real().SteadyNow();
  const auto left = [start, timeout] { return timeout - (Clock::Real().SteadyNow() - start); };
  if (refused_on_ != client.connections()) refused_ = absl::OkStatus();
  std::vector<RedisCommand> commands;
  AskTotals(commands);
  const size_t totals = commands.size();
  std::optional<Parts> guess = std::exchange(last_, std::nullopt);
  if (guess) {
    guess->now += start - last_read_;
    guess->scripts = refused_.ok();
    AskParts(*guess, commands);
  }
  FLEET_ASSIGN_OR_RETURN(std::vector<RedisReply> replies, client.Run(commands, timeout));
  SidekiqSnapshot snapshot;
  Parts parts;
  FLEET_RETURN_IF_ERROR(
      TakeTotals(absl::MakeConstSpan(replies).subspan(0, totals), snapshot, parts));
  if (guess && guess->queues == parts.queues && guess->identities == parts.identities) {
    parts.scripts = guess->scripts;
    FLEET_RETURN_IF_ERROR(
        TakeParts(absl::MakeConstSpan(replies).subspan(totals), parts, client, left(), snapshot));
  } else {
    parts.scripts = refused_.ok();
    commands.clear();
    AskParts(parts, commands);
    FLEET_ASSIGN_OR_RETURN(replies, client.Run(commands, left()));
    FLEET_RETURN_IF_ERROR(TakeParts(replies, parts, client, left(), snapshot));
  }
  last_ = std::move(parts);
  last_read_ = start;
  return snapshot;
}

void SidekiqReader::AskTotals(std::vector<RedisCommand>& commands) const {
  commands = {
      {"TIME"},
      {"SMEMBERS", Key("queues")},
      {"SMEMBERS", Key("processes")},
      {"MGET", Key("stat:processed"), Key("stat:failed")},
      {"ZCARD", Key("retry")},
      {"ZCARD", Key("schedule")},
      {"ZCARD", Key("dead")},
      {"SMEMBERS", Key("paused")},
  };
}

absl::Status SidekiqReader::TakeTotals(absl::Span<const RedisReply> replies,
                                       SidekiqSnapshot& snapshot, Parts& parts) const {
  // Another program's keys may bear these names.
  for (const RedisReply& reply : replies) {
    if (reply.Is("WRONGTYPE")) return absl::NotFoundError("no Sidekiq keys");
  }
  FLEET_RETURN_IF_ERROR(FirstError(replies));
  parts.queues = Members(replies[1]);
  parts.identities = Members(replies[2]);
  if (replies[0].elements.size() != 2 || replies[3].elements.size() != 2) {
    return absl::InvalidArgumentError("TIME or MGET without two values");
  }
  if (parts.queues.empty() && parts.identities.empty() && replies[3].elements[0].nil()) {
    return absl::NotFoundError("no Sidekiq keys");
  }
  snapshot.now = absl::FromUnixSeconds(static_cast<int64_t>(Number(replies[0].elements[0]))) +
                 absl::Microseconds(Number(replies[0].elements[1]));
  snapshot.processed = Number(replies[3].elements[0]);
  snapshot.failed = Number(replies[3].elements[1]);
  snapshot.retry = Number(replies[4]);
  snapshot.scheduled = Number(replies[5]);
  snapshot.dead = Number(replies[6]);
  snapshot.queues_left_out = parts.queues.size() - std::min(parts.queues.size(), kSidekiqQueuesMax);
  parts.queues.resize(parts.queues.size() - snapshot.queues_left_out);
  const std::vector<std::string> paused = Members(replies[7]);
  for (const std::string& name : parts.queues) {
    SidekiqQueueState& queue = snapshot.queues.emplace_back();
    queue.name = name;
    queue.paused = std::binary_search(paused.begin(), paused.end(), name);
  }
  snapshot.processes_listed = static_cast<double>(parts.identities.size());
  if (parts.identities.size() > kSidekiqProcessesMax) parts.identities.resize(kSidekiqProcessesMax);
  parts.now = snapshot.now;
  return absl::OkStatus();
}

void SidekiqReader::AskParts(const Parts& parts, std::vector<RedisCommand>& commands) const {
  const std::string overdue = Score(parts.now - kOverdue);
  commands.push_back({"ZCOUNT", Key("retry"), "-inf", overdue});
  commands.push_back({"ZCOUNT", Key("schedule"), "-inf", overdue});
  commands.push_back({"ZCOUNT", Key("dead"), Score(parts.now - absl::Hours(1)), "+inf"});
  for (const std::string& queue : parts.queues) {
    commands.push_back({"LLEN", Key(absl::StrCat("queue:", queue))});
  }
  for (const std::string& identity : parts.identities) {
    commands.push_back({"HMGET", Key(identity), "info", "busy", "quiet", "rss", "concurrency"});
    commands.push_back({"PTTL", Key(identity)});
  }
  if (parts.scripts && !parts.queues.empty()) commands.push_back(OldestCommand(parts));
}

absl::Status SidekiqReader::TakeParts(absl::Span<const RedisReply> replies, const Parts& parts,
                                      RedisClient& client, absl::Duration timeout,
                                      SidekiqSnapshot& snapshot) {
  const size_t fixed = 3 + parts.queues.size() + 2 * parts.identities.size();
  FLEET_RETURN_IF_ERROR(FirstError(replies.subspan(0, fixed)));
  snapshot.retry_overdue = Number(replies[0]);
  snapshot.scheduled_overdue = Number(replies[1]);
  snapshot.died_last_hour = Number(replies[2]);
  size_t next = 3;
  bool waiting = false;
  for (SidekiqQueueState& queue : snapshot.queues) {
    queue.jobs = Number(replies[next++]);
    waiting = waiting || queue.jobs > 0;
  }
  for (const std::string& identity : parts.identities) {
    FLEET_ASSIGN_OR_RETURN(auto process, ToProcess(identity, replies[next], replies[next + 1]));
    next += 2;
    if (process) snapshot.processes.push_back(*std::move(process));
  }
  if (replies.size() > fixed) TakeLatencies(replies[fixed], parts, client, timeout, snapshot);
  if (!refused_.ok() && waiting) snapshot.latency_status = refused_;
  return absl::OkStatus();
}

RedisCommand SidekiqReader::OldestCommand(const Parts& parts) const {
  RedisCommand command = {eval_, kOldestScript, absl::StrCat(parts.queues.size())};
  for (const std::string& queue : parts.queues) {
    command.push_back(Key(absl::StrCat("queue:", queue)));
  }
  return command;
}

void SidekiqReader::TakeLatencies(RedisReply reply, const Parts& parts, RedisClient& client,
                                  absl::Duration timeout, SidekiqSnapshot& snapshot) {
  if (eval_ == "EVAL_RO" && reply.Is("ERR unknown command")) {
    eval_ = "EVAL";
    auto again = client.Run({OldestCommand(parts)}, timeout);
    if (!again.ok()) {
      snapshot.latency_status = again.status();
      return;
    }
    reply = std::move(again->front());
  }
  if (reply.error()) {
    refused_ = RedisErrorStatus(reply.text);
    refused_on_ = client.connections();
    return;
  }
  if (reply.elements.size() != snapshot.queues.size()) return;
  for (size_t i = 0; i < snapshot.queues.size(); ++i) {
    SidekiqQueueState& queue = snapshot.queues[i];
    const auto enqueued = SidekiqTime(reply.elements[i].text);
    if (!enqueued || queue.jobs == 0) continue;
    queue.latency = std::max(absl::ZeroDuration(), snapshot.now - *enqueued);
  }
}

}  // namespace fleet::agent
