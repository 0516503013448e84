#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/check.h"
#include "agent/host_fs.h"
#include "agent/options.h"

namespace fleet::agent {

/// Which Redis servers a check has to ask: the configured ones, or else what FindRedisServers
/// finds together with what the same check remembers (a server that was seen once is expected: it
/// does not become absent by being down). Used by one thread at a time.
class LocalRedisServers {
 public:
  LocalRedisServers(HostFs fs, std::vector<RedisServer> configured)
      : fs_(std::move(fs)), configured_(std::move(configured)) {}

  /// Looks again at most once a minute, or every five minutes while it knows some: reading process
  /// titles costs milliseconds on a large host. Empty when there is none, and on a fixture host.
  /// Errors: as FindRedisServers, when nothing was found before.
  absl::StatusOr<std::vector<RedisServer>> Servers(CheckRun& run);

  /// Whether `server` is configured or remembered, and not only something with a likely port.
  bool Expects(CheckRun& run, const RedisServer& server) const;
  /// It is a Redis: remember it.
  void Remember(CheckRun& run, const RedisServer& server);
  /// It is none: leave it out until the next look.
  void Drop(const RedisServer& server);

 private:
  const HostFs fs_;
  const std::vector<RedisServer> configured_;
  std::vector<RedisServer> found_;
  std::optional<SteadyTime> looked_;
};

}  // namespace fleet::agent
