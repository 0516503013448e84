#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/host_fs.h"
#include "agent/parse/net_tcp.h"

namespace fleet::agent {

/// Who waits for connections on this host (in the agent's network namespace).
struct Listening {
  std::vector<TcpListener> tcp;         // each address and port once, sorted by port
  std::vector<std::string> unix_paths;  // stream sockets with a name, sorted, each once
};

/// Reads /proc/net/{tcp,tcp6,unix}. Costs O(listeners), whatever the number of connections: the
/// kernel prints listening TCP sockets first, and reading stops after them.
///
/// Errors: by errno; kInvalidArgument for text that is not the kernel's. A missing file (no IPv6)
/// counts as empty.
absl::StatusOr<Listening> ListeningPorts(const HostFs& fs);

/// Where to connect to reach `listener` from this host: its address, loopback where it listens on
/// every one.
std::string DialAddress(const TcpListener& listener);

/// "127.0.0.1:6379", "[::1]:6379": DialAddress with the port, as configuration spells it.
std::string DialHostPort(const TcpListener& listener);

}  // namespace fleet::agent
