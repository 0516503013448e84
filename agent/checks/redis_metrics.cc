#include "agent/checks/redis_metrics.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/checks/redis_families.h"
#include "agent/parse/text.h"

namespace fleet::agent {
namespace {

using namespace redis_families;  // NOLINT(google-build-using-namespace): our own table

constexpr LeftOutFamily kLeftOut[] = {
    {"redis_latency_percentiles_usec",
     "percentiles since the server's start, which one slow morning spoils for ever; "
     "redis_commands_duration_seconds_total and fleet_redis_ping_seconds say how slow it is now"},
    {"redis_slowlog_last_id",
     "only SLOWLOG GET tells it, which hands out the arguments of commands: personal data"},
    {"redis_last_slow_execution_duration_seconds",
     "only SLOWLOG GET tells it, which hands out the arguments of commands: personal data"},
};

/// Numbers as they stand, and the words INFO has for yes and no.
std::optional<double> FieldValue(absl::string_view text) {
  if (text == "ok") return 1;
  if (text == "err" || text == "fail") return 0;
  double value = 0;
  if (!ParseNumber(text, value) || !std::isfinite(value)) return std::nullopt;
  return value;
}

size_t MetricOf(absl::string_view field) {
  const InfoField* const found = std::lower_bound(
      std::begin(kFields), std::end(kFields), field,
      [](const InfoField& entry, absl::string_view name) { return entry.field < name; });
  if (found == std::end(kFields) || found->field != field) return RedisInfoLayout::kNone;
  return static_cast<size_t>(found - kFields);
}

}  // namespace

absl::Span<const MetricDesc> RedisMetrics() { return kMetrics; }
absl::Span<const LeftOutFamily> RedisLeftOut() { return kLeftOut; }

void RedisSamples::Add(size_t metric, absl::Span<const Label> labels, double value) {
  if (server_.empty()) return run_.Add(kMetrics[metric], labels, value);
  Labels all(labels.begin(), labels.end());
  all.push_back({"server", server_});
  run_.Add(kMetrics[metric], all, value);
}

void RedisSamples::AddUp(bool up) { Add(kFieldsSize + kUp, {}, up ? 1 : 0); }

void RedisSamples::AddPing(absl::Duration round_trip) {
  Add(kFieldsSize + kPing, {}, absl::ToDoubleSeconds(round_trip));
}

void RedisSamples::AddSlowlogLength(double entries) {
  Add(kFieldsSize + kSlowlogLength, {}, entries);
}

void RedisSamples::AddIoThreads(double threads) {
  Add(kFieldsSize + kConfigIoThreads, {}, threads);
}

void RedisSamples::AddInfo(const RedisInfo& info, int databases, RedisInfoLayout& layout) {
  layout.fields.resize(info.fields().size());
  for (size_t i = 0; i < info.fields().size(); ++i) {
    const RedisInfo::Field& field = info.fields()[i];
    if (field.section == "Replication" && AddReplication(info, field)) continue;
    if (absl::StartsWith(field.name, "errorstat_")) {
      const auto parts = ParseRedisParts(field.value);
      if (!parts.ok()) continue;
      const absl::string_view error = absl::StripPrefix(field.name, "errorstat_");
      Add(kFieldsSize + kErrors, {{"err", error}}, RedisPart(*parts, "count").value_or(0));
      continue;
    }
    RedisInfoLayout::Field& known = layout.fields[i];
    if (known.name != field.name) known = {std::string(field.name), MetricOf(field.name)};
    if (known.metric == RedisInfoLayout::kNone) continue;
    std::optional<double> value = FieldValue(field.value);
    if (!value) continue;
    if (field.name == "latest_fork_usec") *value /= 1e6;
    Add(known.metric, {}, *value);
  }
  if (const auto maxmemory = info.Number("maxmemory")) {
    Add(kFieldsSize + kConfigMaxmemory, {}, *maxmemory);
  }
  if (const auto uptime = info.Number("uptime_in_seconds")) {
    Add(kFieldsSize + kStartTime, {},
        static_cast<double>(absl::ToUnixSeconds(run_.now())) - *uptime);
  }
  AddDatabases(info, databases);
  AddInstance(info);
}

bool RedisSamples::AddReplication(const RedisInfo& info, const RedisInfo::Field& field) {
  const auto primary = [&info]() -> Labels {
    return {{"master_host", info.Text("master_host")}, {"master_port", info.Text("master_port")}};
  };
  if (field.name == "master_link_status") {
    Add(kFieldsSize + kMasterLinkUp, primary(), field.value == "up" ? 1 : 0);
    return true;
  }
  const std::pair<absl::string_view, Other> by_primary[] = {
      {"master_last_io_seconds_ago", kMasterLastIo},
      {"master_sync_in_progress", kMasterSync},
      {"slave_repl_offset", kSlaveReplOffset},
  };
  for (const auto& [name, metric] : by_primary) {
    if (field.name != name) continue;
    if (const auto value = FieldValue(field.value)) Add(kFieldsSize + metric, primary(), *value);
    return true;
  }
  absl::string_view number = field.name;
  uint32_t index = 0;
  if (!absl::ConsumePrefix(&number, "slave") || !absl::SimpleAtoi(number, &index)) return false;
  const auto parts = ParseRedisParts(field.value);
  if (!parts.ok()) return true;
  Labels replica;
  for (const char* const name : {"ip", "port", "state"}) {
    for (const auto& [key, value] : *parts) {
      if (key == name) {
        replica.push_back({name == absl::string_view("ip")     ? "slave_ip"
                           : name == absl::string_view("port") ? "slave_port"
                                                               : "slave_state",
                           value});
      }
    }
  }
  if (const auto offset = RedisPart(*parts, "offset")) {
    Add(kFieldsSize + kSlaveOffset, replica, *offset);
  }
  if (const auto lag = RedisPart(*parts, "lag"); lag && *lag >= 0) {
    Add(kFieldsSize + kSlaveLag, replica, *lag);
  }
  return true;
}

void RedisSamples::AddDatabases(const RedisInfo& info, int databases) {
  std::set<absl::string_view> seen;
  for (const RedisInfo::Field& field : info.fields()) {
    if (field.section != "Keyspace" || !absl::StartsWith(field.name, "db")) continue;
    const auto parts = ParseRedisParts(field.value);
    if (!parts.ok()) continue;
    const Labels db = {{"db", field.name}};
    seen.insert(field.name);
    Add(kFieldsSize + kDbKeys, db, RedisPart(*parts, "keys").value_or(0));
    Add(kFieldsSize + kDbKeysExpiring, db, RedisPart(*parts, "expires").value_or(0));
    if (const auto ttl_ms = RedisPart(*parts, "avg_ttl")) {
      Add(kFieldsSize + kDbAvgTtl, db, *ttl_ms / 1000);
    }
  }
  for (int i = 0; i < databases; ++i) {
    const std::string name = absl::StrCat("db", i);
    if (seen.count(name) > 0) continue;
    Add(kFieldsSize + kDbKeys, {{"db", name}}, 0);
    Add(kFieldsSize + kDbKeysExpiring, {{"db", name}}, 0);
  }
}

void RedisSamples::AddInstance(const RedisInfo& info) {
  Labels labels;
  for (const char* const name : {"role", "redis_version", "redis_build_id", "redis_mode", "os",
                                 "maxmemory_policy", "tcp_port", "run_id", "process_id"}) {
    absl::string_view value = info.Text(name);
    // Valkey's word for it.
    if (name == absl::string_view("redis_mode") && value.empty()) value = info.Text("server_mode");
    labels.push_back({name, value});
  }
  Add(kFieldsSize + kInstanceInfo, labels, 1);
  if (info.Text("role") == "slave") {
    Add(kFieldsSize + kSlaveInfo,
        {{"master_host", info.Text("master_host")},
         {"master_port", info.Text("master_port")},
         {"read_only", info.Text("slave_read_only")}},
        1);
  }
}

void RedisSamples::AddCommandStats(const RedisInfo& stats, absl::Duration age) {
  for (const RedisInfo::Field& field : stats.fields()) {
    absl::string_view command = field.name;
    if (!absl::ConsumePrefix(&command, "cmdstat_")) continue;
    const auto parts = ParseRedisParts(field.value);
    if (!parts.ok()) continue;
    const Labels labels = {{"cmd", command}};
    const std::pair<absl::string_view, Other> counts[] = {{"calls", kCommands},
                                                          {"usec", kCommandsDuration},
                                                          {"rejected_calls", kCommandsRejected},
                                                          {"failed_calls", kCommandsFailed}};
    for (const auto& [name, metric] : counts) {
      const auto value = RedisPart(*parts, name);
      if (value) Add(kFieldsSize + metric, labels, name == "usec" ? *value / 1e6 : *value);
    }
  }
  Add(kFieldsSize + kCommandStatsAge, {}, absl::ToDoubleSeconds(age));
}

void RedisSamples::AddLatencyLatest(const RedisReply& events) {
  for (const RedisReply& event : events.elements) {
    // Name, Unix time, latest and greatest milliseconds.
    if (event.elements.size() < 3) continue;
    const Labels labels = {{"event_name", event.elements[0].text}};
    Add(kFieldsSize + kSpikeLast, labels, static_cast<double>(event.elements[1].integer));
    Add(kFieldsSize + kSpikeDuration, labels,
        static_cast<double>(event.elements[2].integer) / 1000);
  }
}

}  // namespace fleet::agent
