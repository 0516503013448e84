#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Counts the bytes of a connection that somebody has read. Thread-safe.
class ReadMeter {
 public:
  /// A whole message of so many bytes was handed to us.
  void Took(size_t bytes) { bytes_.fetch_add(bytes + kFraming, std::memory_order_relaxed); }
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kFraming = 512;  // at most, of a message and the ack that it gets
  std::atomic<uint64_t> bytes_ = 0;
};

/// Bytes that TCP has taken in for the socket `fd` since it was opened; 0 when it is none.
uint64_t BytesReceived(int fd);

/// Finds the connections that send and send without ever finishing a message. gRPC keeps as much
/// of a message as was announced, be it 4 GiB, and looks at its size when all of it is there; so
/// what the kernel has received of a connection is held against what came out of gRPC. Thread-safe.
class UnreadWatch {
 public:
  struct Limits {
    uint64_t connection = 32 << 20;  // bytes that were received and not read
    uint64_t address = 128 << 20;    // of all connections from there
    uint64_t per_second = 16 << 10;  // of a connection, that need never be read: pings, calls
  };
  using BytesOf = uint64_t (*)(int fd);

  UnreadWatch(const Limits& limits, Clock& clock, BytesOf bytes_of = BytesReceived)
      : limits_(limits), clock_(clock), bytes_of_(bytes_of) {}

  /// A connection from `host`:`port` was taken, which limits count as one of `address`. A number
  /// that is used again: its old socket is closed.
  void Arrived(int fd, absl::string_view host, uint16_t port, const std::string& address);
  /// Where to count what is read of the connection from there; one that is not known gets a meter
  /// that nobody looks at.
  std::shared_ptr<ReadMeter> MeterOf(absl::string_view host, uint16_t port) const;

  struct Excess {
    int fd = -1;
    std::string address;
  };
  /// Looks at every connection; returns those beyond a limit, which are then no longer known.
  std::vector<Excess> Look();
  size_t size() const;

 private:
  struct Connection {
    std::string key;
    std::string address;
    std::shared_ptr<ReadMeter> meter;
    uint64_t received = 0;  // as of the last look
    uint64_t read = 0;
    uint64_t unread = 0;
  };

  void Forget(int fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  Clock& clock_;
  const BytesOf bytes_of_;
  mutable Mutex mutex_;
  SteadyTime looked_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int, Connection> connections_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, int> by_key_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
