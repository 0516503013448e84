#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/check.h"
#include "agent/parse/redis_info.h"
#include "agent/redis/reply.h"

namespace fleet::agent {

/// An exporter's family that a check does not emit, and why; docs/metrics.md lists them.
struct LeftOutFamily {
  absl::string_view name;
  absl::string_view reason;
};

/// Every family of the redis check: names, types, labels and units of redis_exporter.
absl::Span<const MetricDesc> RedisMetrics();
absl::Span<const LeftOutFamily> RedisLeftOut();

/// Which of our metrics each field of one server's last INFO was, by its place: a server lists the
/// same fields in the same order, so most of them are found without a search. Empty at first.
struct RedisInfoLayout {
  struct Field {
    std::string name;
    size_t metric;  // kNone for one without
  };
  static constexpr size_t kNone = SIZE_MAX;
  std::vector<Field> fields;
};

/// Adds samples of one server to `run`. `server` is its `server` label, empty when the host has
/// only one.
class RedisSamples {
 public:
  RedisSamples(CheckRun& run, absl::string_view server) : run_(run), server_(server) {}

  void AddUp(bool up);
  /// Round trip of our own PING and the questions sent with it.
  void AddPing(absl::Duration round_trip);
  /// What INFO says. `databases` is how many the server has; redis_exporter shows empty ones, too.
  void AddInfo(const RedisInfo& info, int databases, RedisInfoLayout& layout);
  /// What INFO COMMANDSTATS said `age` ago.
  void AddCommandStats(const RedisInfo& stats, absl::Duration age);
  void AddSlowlogLength(double entries);
  void AddIoThreads(double threads);
  /// The answer to LATENCY LATEST.
  void AddLatencyLatest(const RedisReply& events);

 private:
  using Labels = std::vector<Label>;

  void Add(size_t metric, absl::Span<const Label> labels, double value);
  /// Whether `field` has labels, or several meanings, and was dealt with.
  bool AddReplication(const RedisInfo& info, const RedisInfo::Field& field);
  void AddDatabases(const RedisInfo& info, int databases);
  void AddInstance(const RedisInfo& info);

  CheckRun& run_;
  const std::string server_;
};

}  // namespace fleet::agent
