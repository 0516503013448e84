#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "agent/host_fs.h"
#include "agent/ip_address.h"
#include "agent/options.h"
#include "common/clock.h"
#include "common/scoped_fd.h"

namespace fleet::agent {

/// How often each source may be answered: a bucket of tokens per source, and one for all of them.
/// Used by one thread.
class SourceLimiter {
 public:
  static constexpr double kPerSecond = 20;  // a peer's agent asks twice in an interval
  static constexpr double kBurst = 40;
  static constexpr double kAllPerSecond = 2000;
  static constexpr size_t kSourcesMax = 4096;

  explicit SourceLimiter(Clock& clock) : clock_(clock), all_{kAllPerSecond, clock.SteadyNow()} {}

  /// Takes one token of `source`; false when it has none, or when kSourcesMax others are busy.
  bool Allow(const IpAddress& source);

 private:
  struct Bucket {
    double tokens;
    SteadyTime filled;
  };
  static void Fill(Bucket& bucket, SteadyTime now, double per_second, double burst);

  Clock& clock_;
  Bucket all_;
  std::map<IpAddress, Bucket> sources_;
};

/// The peers whose datagrams are answered, and where.
struct EchoOptions {
  struct Peer {
    IpAddress network;
    int prefix_length = 0;
  };
  std::vector<IpAddress> listen;  // our own addresses inside the VPNs
  uint16_t port = 10235;          // 0 picks a free one
  std::vector<Peer> peers;

  /// Whether `source` is a peer's.
  bool Allows(const IpAddress& source) const;
};

/// What /etc/tinc says: our own addresses, and those of the configured peers (`options.peers`, or
/// every hosts/ file but our own). Empty `listen` when this host has no VPN that can be read.
EchoOptions EchoOptionsFromTinc(const HostFs& fs, const TincOptions& options);

/// Answers a peer's datagram with the same bytes, so that the tinc check of the peer's agent can
/// measure round trip and loss through the tunnel. It never sends more than it got, answers only
/// configured peers, at a bounded rate, and never a datagram that comes from a well-known port or
/// from an echo port (two servers would play ping-pong for ever).
///
/// One thread of its own. Off switch: do not start it.
class EchoServer {
 public:
  /// A longer datagram is not answered; fits a jumbo frame.
  static constexpr size_t kDatagramBytesMax = 9216;

  struct Counters {
    uint64_t answered = 0;
    uint64_t refused = 0;  // not a peer, too long, a suspicious port
    uint64_t limited = 0;  // over the rate
  };

  /// Listens on every address of `options.listen`, also on one that no interface has yet.
  /// Errors: kInvalidArgument without an address; by errno when one cannot be bound.
  static absl::StatusOr<std::unique_ptr<EchoServer>> Start(EchoOptions options,
                                                           Clock& clock = Clock::Real());
  ~EchoServer();

  /// The port of the first address: what was asked for, or the free one picked for 0.
  uint16_t port() const { return port_; }
  /// Thread-safe.
  Counters counters() const;

 private:
  EchoServer(EchoOptions options, Clock& clock);
  absl::Status Bind(const IpAddress& address, uint16_t port);
  void Serve();
  void Answer(int fd);

  const EchoOptions options_;
  SourceLimiter limiter_;  // of the thread
  std::vector<ScopedFd> sockets_;
  ScopedFd stop_;  // eventfd: readable when the thread shall end
  uint16_t port_ = 0;
  std::atomic<uint64_t> answered_ = 0;
  std::atomic<uint64_t> refused_ = 0;
  std::atomic<uint64_t> limited_ = 0;
  std::jthread thread_;
};

}  // namespace fleet::agent
