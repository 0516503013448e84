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

/// Asks sock_diag for TCP sockets that listen, and reads /proc/net/unix. On a fixture host, and
/// where sock_diag is not to be had, /proc/net/{tcp,tcp6} up to the first socket that does not
/// listen: behind the listeners the kernel walks its whole table of connections, for a millisecond,
/// even when there is none.
///
/// Errors: by errno; kInvalidArgument for text that is not the kernel's. A missing file (no IPv6)
/// counts as empty.
absl::StatusOr<Listening> ListeningPorts(const HostFs& fs);

/// Listening::tcp alone; errors likewise.
absl::StatusOr<std::vector<TcpListener>> ListeningTcp(const HostFs& fs);

/// Where to connect to reach `listener` from this host: its address, loopback where it listens on
/// every one.
std::string DialAddress(const TcpListener& listener);

/// "127.0.0.1:6379", "[::1]:6379": DialAddress with the port, as configuration spells it.
std::string DialHostPort(const TcpListener& listener);

}  // namespace fleet::agent
