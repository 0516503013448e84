#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// A TCP socket that waits for connections.
struct TcpListener {
  std::string address;  // "127.0.0.1", "10.235.0.4", "::1"; "0.0.0.0" and "::" are every address
  uint16_t port = 0;
  bool operator==(const TcpListener&) const = default;
};

/// Parses /proc/net/tcp or /proc/net/tcp6, such as
///   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 42906
///   …
/// where the second field is address and port in hexadecimal (the address as the machine stores
/// it, so 127.0.0.1 reads 0100007F on a little-endian one) and the fourth the state, 0A for
/// LISTEN. Sockets in other states are skipped; the kernel prints them after the listening ones.
///
/// Errors: kInvalidArgument for a line without these fields, kResourceExhausted past 65,536
/// listeners.
/// Source: https://docs.kernel.org/networking/proc_net_tcp.html
absl::StatusOr<std::vector<TcpListener>> ParseNetTcp(absl::string_view text);

/// Parses /proc/net/unix into the paths of the stream sockets that accept connections, such as
///   0000000026ac5b43: 00000002 00000000 00010000 0001 01 42907 /run/postgresql/.s.PGSQL.5432
/// where the fourth field has bit 16 when listening and the fifth is 1 for a stream. Unnamed and
/// abstract sockets ("@…") are skipped.
///
/// Errors: kInvalidArgument for a line without these fields, kResourceExhausted past 65,536 paths.
/// Source: proc_net_unix(5)
absl::StatusOr<std::vector<std::string>> ParseNetUnix(absl::string_view text);

}  // namespace fleet::agent
