#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Which socket a descriptor is now, by its inode; 0 when it is none.
uint64_t InodeOf(int fd);

/// Open connections of which no call was admitted yet. gRPC refuses a call before it tells anybody
/// where it comes from; whoever was refused is certainly among these. Thread-safe.
class Newcomers {
 public:
  using SocketOf = uint64_t (*)(int fd);
  explicit Newcomers(SocketOf socket_of = InodeOf) : socket_of_(socket_of) {}

  /// A connection from `host`:`port` was taken.
  void Arrived(int fd, absl::string_view host, uint16_t port);
  /// A call from there was admitted.
  void Proved(absl::string_view host, uint16_t port);
  /// The hosts that the others come from, each once, sorted. Looks at each of them.
  std::vector<std::string> Hosts();

 private:
  struct Socket {
    uint64_t id;
    std::string host;
    uint16_t port;
  };
  static std::string Key(absl::string_view host, uint16_t port);

  const SocketOf socket_of_;
  Mutex mutex_;
  absl::flat_hash_map<int, Socket> sockets_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int> by_address_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
