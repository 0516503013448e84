#pragma once

#include <sys/types.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "collector/config.h"
#include "collector/http/listen.h"
#include "collector/newcomers.h"
#include "collector/rate_limiter.h"
#include "collector/unread.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/scoped_fd.h"

namespace fleet::collector {

/// Why a connection was closed: before anything was read from it, or (unread) because it sends
/// without ever finishing a message.
enum class ShutReason { kTotal, kAddress, kHandshakes, kUnread };
inline constexpr size_t kShutReasons = 4;
/// "total", "address", "handshakes", "unread".
absl::string_view ShutReasonName(ShutReason reason);

/// Who holds connections. It is never told of their end, since whoever was handed one closes it
/// when it likes: a descriptor counts for as long as it still is the same socket. Used by one
/// thread.
class OpenSockets {
 public:
  using SocketOf = uint64_t (*)(int fd);
  explicit OpenSockets(SocketOf socket_of = InodeOf) : socket_of_(socket_of) {}

  void Add(int fd, const std::string& address);
  /// Forgets those that are closed. Costs one system call for each that is known.
  void Sweep();
  size_t size() const { return sockets_.size(); }
  size_t CountOf(const std::string& address) const;
  /// Whether `fd` is the socket that was added under that number.
  bool Has(int fd) const;

 private:
  struct Socket {
    uint64_t id;
    std::string address;
  };
  void Erase(int fd);

  const SocketOf socket_of_;
  absl::flat_hash_map<int, Socket> sockets_;
  absl::flat_hash_map<std::string, size_t> by_address_;
};

/// Owns the listening socket of gRPC and its own thread: takes connections, closes those beyond the
/// limits and hands the others on.
class Acceptor {
 public:
  /// Takes over a connected, non-blocking socket.
  using Handle = std::function<void(int fd)>;
  /// How long a refusal is worth a note in the status.
  static constexpr absl::Duration kNoteTime = absl::Minutes(10);
  /// A limit that is reached is looked into again, at most so often.
  static constexpr absl::Duration kSweepEvery = absl::Milliseconds(100);
  /// What connections have sent and nobody could read is looked at so often.
  static constexpr absl::Duration kLookEvery = absl::Milliseconds(250);
  /// How old open() may be.
  static constexpr absl::Duration kCountEvery = absl::Seconds(10);

  /// Listens at once; connections are taken after Start. Errors: as ListenTcp.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const Address& address,
                                                          const ConnectionOptions& options,
                                                          Newcomers& newcomers, Clock& clock);
  ~Acceptor();

  const Address& address() const { return listener_.address; }
  void Start(Handle handle);
  /// Takes no more; returns when `handle` is not called any more. Idempotent.
  void Stop();

  uint64_t accepted() const { return accepted_; }
  uint64_t shut(ShutReason reason) const { return shut_[static_cast<size_t>(reason)]; }
  /// Connections that are open, as of the last look.
  size_t open() const { return open_; }
  /// Knows how much each connection has sent.
  const UnreadWatch& unread() const { return unread_; }
  /// What of the limits was reached lately, in words.
  std::vector<std::string> Notes() const;

 private:
  Acceptor(Listener listener, const ConnectionOptions& options, Newcomers& newcomers, Clock& clock,
           ScopedFd wake);

  void Run(const std::stop_token& stop);
  /// Takes one connection; false when there is none.
  bool TakeOne();
  bool Admit(const std::string& address);
  void Refuse(ShutReason reason, const std::string& address);
  void SweepIfDue();
  /// Ends the connections that send without ever finishing a message.
  void ShutUnreadIfDue();

  Listener listener_;
  const ConnectionOptions options_;
  Newcomers& newcomers_;
  Clock& clock_;
  const ScopedFd wake_;
  Handle handle_;
  OpenSockets sockets_;
  RateLimiter handshakes_;
  UnreadWatch unread_;
  SteadyTime swept_;
  SteadyTime looked_;

  std::atomic<uint64_t> accepted_ = 0;
  std::atomic<uint64_t> shut_[kShutReasons] = {};
  std::atomic<size_t> open_ = 0;
  mutable Mutex mutex_;
  struct Last {
    SteadyTime at;
    std::string address;
    bool any = false;
  };
  Last last_[kShutReasons] ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

/// What limits count an address as: an IPv4 address as it is, the /64 network of an IPv6 one, which
/// is the least that one machine is given.
std::string LimitKey(const std::string& address);

}  // namespace fleet::collector
