#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// What INFO says, in its order. Copies share the text.
class RedisInfo {
 public:
  struct Field {
    absl::string_view section;  // "Replication"
    absl::string_view name;     // "master_link_status"
    absl::string_view value;    // "up"
  };

  const std::vector<Field>& fields() const { return fields_; }
  /// The value of `name`, empty when there is none.
  absl::string_view Text(absl::string_view name) const;
  /// The value of `name` as a number; nullopt when there is none or it is no number.
  std::optional<double> Number(absl::string_view name) const;
  /// As Number, 0 without one.
  double NumberOrZero(absl::string_view name) const { return Number(name).value_or(0); }

 private:
  friend absl::StatusOr<RedisInfo> ParseRedisInfo(absl::string_view text);
  std::shared_ptr<const std::string> text_;  // what the fields are views of
  std::vector<Field> fields_;
};

/// Parses the answer to INFO of Redis 5–7 and Valkey, such as
///   # Memory
///   used_memory:1419920
///   maxmemory_policy:allkeys-lru
/// Fields of any name are kept, so that a newer server still parses.
///
/// Errors: kInvalidArgument for a line that is neither a heading, a field nor empty, or for no
/// field at all; kResourceExhausted past 20,000 fields.
/// Source: https://redis.io/docs/latest/commands/info/
absl::StatusOr<RedisInfo> ParseRedisInfo(absl::string_view text);

/// Names and values, in their order.
using RedisParts = std::vector<std::pair<absl::string_view, absl::string_view>>;

/// Parses a field's list of parts, views of it, such as those of `db0`, `slave0` and `cmdstat_get`:
///   keys=19476,expires=0,avg_ttl=0
///   ip=127.0.0.1,port=7202,state=online,offset=28,lag=1
/// Errors: kInvalidArgument for a part without '='.
absl::StatusOr<RedisParts> ParseRedisParts(absl::string_view value);

/// The part `name` as a number; nullopt when there is none or it is no number.
std::optional<double> RedisPart(const RedisParts& parts, absl::string_view name);

}  // namespace fleet::agent
