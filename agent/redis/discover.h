#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/host_fs.h"
#include "agent/options.h"

namespace fleet::agent {

/// The Redis and Valkey servers of this host, asking none of them: what listens on port 6379, on a
/// port that a process titled "redis-server 127.0.0.1:6380" names, or on a unix socket so named.
/// One entry per port, loopback preferred; sorted. A container's server counts when its port is
/// published. Titles are readable by everyone (unless /proc is mounted with hidepid).
///
/// Errors: as ListeningPorts.
absl::StatusOr<std::vector<RedisServer>> FindRedisServers(const HostFs& fs);

/// Where a process title like "redis-server 127.0.0.1:6380 [cluster]", "valkey-server *:6379" or
/// "redis-server unixsocket:/run/redis.sock" says that it listens: "6380", "6379",
/// "/run/redis.sock". Empty for any other title, a sentinel's among them.
std::string RedisTitleAddress(absl::string_view title);

/// What the server is called: its name, else its address.
const std::string& RedisServerName(const RedisServer& server);

}  // namespace fleet::agent
