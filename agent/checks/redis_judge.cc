#include "agent/checks/redis_judge.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

/// A replica or primary silent for longer than this is late; pings go every 10 s, acks every 1 s.
constexpr double kSilentSeconds = 30;
constexpr size_t kFindingsShown = 3;

struct Finding {
  Verdict verdict;
  std::string text;
};

using Findings = std::vector<Finding>;

std::string HumanSeconds(double seconds) {
  return HumanDuration(absl::Seconds(std::clamp(seconds, 0.0, 1e10)));
}

std::string Count(double count, absl::string_view noun) {
  return absl::StrFormat("%.0f %s%s", count, noun, count == 1 ? "" : "s");
}

void JudgeMemory(const RedisInfo& info, const RedisFacts& facts, const RedisOptions& options,
                 SteadyTime now, RedisHistory& history, Findings& findings) {
  // As the server itself compares them: buffers of replicas and append-only file do not count.
  const double limit = info.NumberOrZero("maxmemory");
  const double used =
      info.NumberOrZero("used_memory") - info.NumberOrZero("mem_not_counted_for_evict");
  const std::string policy(info.Text("maxmemory_policy"));
  const bool evicts = limit > 0 && policy != "noeviction";

  double errors = 0;
  for (const RedisInfo::Field& field : info.fields()) {
    if (field.name != "errorstat_OOM") continue;
    if (const auto parts = ParseRedisParts(field.value); parts.ok()) {
      errors = RedisPart(*parts, "count").value_or(0);
    }
  }
  if (const double refused = history.oom_errors.Update(errors, now); refused > 0) {
    findings.push_back({Verdict::kCrit, absl::StrCat(Count(refused, "write"),
                                                     " refused with OOM in the last minutes")});
  }
  const double evicted = history.evicted.Update(info.NumberOrZero("evicted_keys"), now);
  if (evicts && facts.sidekiq_lives_here) {
    findings.push_back(
        {Verdict::kWarn, absl::StrCat("maxmemory-policy is ", OneLine(policy),
                                      ": must be noeviction for Sidekiq, or jobs are lost")});
    if (evicted > 0) {
      findings.push_back({Verdict::kWarn, absl::StrCat(Count(evicted, "key"), " evicted")});
    }
  }
  if (limit <= 0 || evicts) return;
  const double ratio = used / limit;
  if (ratio < options.memory_warn_ratio) return;
  findings.push_back(
      {ratio >= options.memory_crit_ratio ? Verdict::kCrit : Verdict::kWarn,
       absl::StrCat("memory ", HumanPercent(ratio), " of ", HumanBytes(limit), " used, ",
                    ratio >= 1 ? "writes fail (OOM)" : "writes fail when full",
                    " under policy noeviction")});
}

void JudgePersistence(const RedisInfo& info, const RedisFacts& facts, Findings& findings) {
  const bool save_failed = info.Text("rdb_last_bgsave_status") == "err";
  if (save_failed) {
    // By the server's own clock.
    const double age =
        info.NumberOrZero("server_time_usec") / 1e6 - info.NumberOrZero("rdb_last_save_time");
    findings.push_back(
        {Verdict::kCrit,
         absl::StrCat("last RDB save failed",
                      age > 0 ? absl::StrCat(", last good one ", HumanSeconds(age), " ago") : "",
                      facts.writes_refused ? "; writes are refused (MISCONF)" : "")});
  } else if (facts.writes_refused) {
    findings.push_back({Verdict::kCrit, "writes are refused: it cannot persist (MISCONF)"});
  }
  if (info.Text("aof_enabled") != "1") return;
  if (info.Text("aof_last_write_status") == "err") {
    findings.push_back({Verdict::kCrit, "last write to the append-only file failed"});
  }
  if (info.Text("aof_last_bgrewrite_status") == "err") {
    findings.push_back({Verdict::kCrit, "last rewrite of the append-only file failed: it grows"});
  }
}

void JudgeReplica(const RedisInfo& info, Findings& findings) {
  const std::string primary = absl::StrCat(info.Text("master_host"), ":", info.Text("master_port"));
  const double silent = info.NumberOrZero("master_last_io_seconds_ago");
  if (info.Text("master_link_status") != "up") {
    const double down = info.NumberOrZero("master_link_down_since_seconds");
    if (info.Text("master_sync_in_progress") == "1") {
      findings.push_back({Verdict::kWarn, absl::StrCat("full sync from ", primary, " running")});
    } else {
      findings.push_back({Verdict::kCrit,
                          absl::StrCat("replica: link to primary ", primary, " down",
                                       down > 0 ? absl::StrCat(" for ", HumanSeconds(down)) : "")});
    }
  } else if (silent > kSilentSeconds) {
    findings.push_back({Verdict::kWarn, absl::StrCat("replica: primary ", primary, " silent for ",
                                                     HumanSeconds(silent))});
  }
}

void JudgeReplicas(const RedisInfo& info, Findings& findings) {
  for (const RedisInfo::Field& field : info.fields()) {
    absl::string_view number = field.name;
    uint32_t index = 0;
    if (field.section != "Replication" || !absl::ConsumePrefix(&number, "slave") ||
        !absl::SimpleAtoi(number, &index)) {
      continue;
    }
    const auto parts = ParseRedisParts(field.value);
    if (!parts.ok()) continue;
    std::string address, port, state;
    for (const auto& [name, value] : *parts) {
      if (name == "ip") address = std::string(value);
      if (name == "port") port = std::string(value);
      if (name == "state") state = std::string(value);
    }
    const double lag = RedisPart(*parts, "lag").value_or(0);
    if (state != "online") {
      findings.push_back({Verdict::kWarn, absl::StrCat("replica ", address, ":", port,
                                                       " is not in sync (", state, ")")});
    } else if (lag > kSilentSeconds) {
      findings.push_back({Verdict::kWarn, absl::StrCat("replica ", address, ":", port,
                                                       " silent for ", HumanSeconds(lag))});
    }
  }
}

void JudgeClients(const RedisInfo& info, const RedisFacts& facts, const RedisOptions& options,
                  SteadyTime now, RedisHistory& history, Findings& findings) {
  const double rejected = history.rejected.Update(info.NumberOrZero("rejected_connections"), now);
  if (rejected > 0) {
    findings.push_back(
        {Verdict::kCrit, absl::StrCat(Count(rejected, "connection"),
                                      " rejected in the last minutes (maxclients)")});
  }
  const double clients = info.NumberOrZero("connected_clients");
  if (facts.maxclients <= 0 || clients < facts.maxclients * options.clients_warn_ratio) return;
  const bool crit = clients >= facts.maxclients * options.clients_crit_ratio;
  findings.push_back({crit ? Verdict::kCrit : Verdict::kWarn,
                      absl::StrFormat("%.0f of %.0f clients", clients, facts.maxclients)});
}

std::string Description(const RedisInfo& info) {
  absl::string_view version = info.Text("valkey_version");
  std::string text = version.empty() ? absl::StrCat("Redis ", info.Text("redis_version"))
                                     : absl::StrCat("Valkey ", version);
  if (info.Text("role") == "slave") absl::StrAppend(&text, " replica");
  const double limit = info.NumberOrZero("maxmemory");
  absl::StrAppend(&text, ", ", HumanBytes(info.NumberOrZero("used_memory")),
                  limit > 0 ? absl::StrCat(" of ", HumanBytes(limit)) : "", ", ",
                  Count(info.NumberOrZero("connected_clients"), "client"));
  return OneLine(text);
}

}  // namespace

double RisingCount::Update(double value, SteadyTime now) {
  if (grown_ > 0 && now - grown_time_ > kNews) grown_ = 0;
  if (last_ && value > *last_) {
    grown_ += value - *last_;
    grown_time_ = now;
  }
  if (last_ && value < *last_) grown_ = 0;
  last_ = value;
  return grown_;
}

RedisJudgement JudgeRedis(const RedisInfo& info, const RedisFacts& facts,
                          const RedisOptions& options, SteadyTime now, RedisHistory& history) {
  Findings findings;
  if (info.Text("loading") == "1") {
    const auto percent = info.Number("loading_loaded_perc");
    const auto eta = info.Number("loading_eta_seconds");
    findings.push_back(
        {Verdict::kCrit,
         absl::StrCat("loading its dataset", percent ? absl::StrFormat(", %.0f %%", *percent) : "",
                      eta ? absl::StrCat(", ", HumanSeconds(*eta), " to go") : "")});
  }
  JudgeMemory(info, facts, options, now, history, findings);
  JudgePersistence(info, facts, findings);
  if (info.Text("role") == "slave") JudgeReplica(info, findings);
  JudgeReplicas(info, findings);
  JudgeClients(info, facts, options, now, history, findings);
  if (facts.ping > options.latency_warn) {
    findings.push_back(
        {Verdict::kWarn, absl::StrCat("answers PING in ", HumanDuration(facts.ping))});
  }
  if (findings.empty()) return {Verdict::kOk, Description(info)};

  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    return IsWorse(a.verdict, b.verdict);
  });
  RedisJudgement judgement = {findings[0].verdict, ""};
  for (size_t i = 0; i < std::min(findings.size(), kFindingsShown); ++i) {
    absl::StrAppend(&judgement.reason, i == 0 ? "" : "; ", findings[i].text);
  }
  if (findings.size() > kFindingsShown) {
    absl::StrAppend(&judgement.reason, " (+", findings.size() - kFindingsShown, " more)");
  }
  return judgement;
}

}  // namespace fleet::agent
