#include "agent/echo.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/tinc_net.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr uint16_t kWellKnownPortMax = 1023;
constexpr uint16_t kEchoPort = 10235;
/// Datagrams taken from one socket before the next one and the stop request get a turn.
constexpr int kBatch = 64;

uint16_t PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

}  // namespace

void SourceLimiter::Fill(Bucket& bucket, SteadyTime now, double per_second, double burst) {
  const double seconds = absl::ToDoubleSeconds(now - bucket.filled);
  bucket.tokens = std::min(burst, bucket.tokens + seconds * per_second);
  bucket.filled = now;
}

bool SourceLimiter::Allow(const IpAddress& source) {
  const SteadyTime now = clock_.SteadyNow();
  auto found = sources_.find(source);
  if (found == sources_.end()) {
    if (sources_.size() >= kSourcesMax) {
      // Whoever is full again needs no bucket.
      for (auto it = sources_.begin(); it != sources_.end();) {
        Fill(it->second, now, kPerSecond, kBurst);
        it = it->second.tokens >= kBurst ? sources_.erase(it) : std::next(it);
      }
      if (sources_.size() >= kSourcesMax) return false;
    }
    found = sources_.emplace(source, Bucket{kBurst, now}).first;
  }
  Fill(found->second, now, kPerSecond, kBurst);
  Fill(all_, now, kAllPerSecond, kAllPerSecond);
  if (found->second.tokens < 1 || all_.tokens < 1) return false;
  found->second.tokens -= 1;
  all_.tokens -= 1;
  return true;
}

bool EchoOptions::Allows(const IpAddress& source) const {
  return std::any_of(peers.begin(), peers.end(),
                     [&](const Peer& peer) { return source.In(peer.network, peer.prefix_length); });
}

EchoServer::EchoServer(EchoOptions options, Clock& clock)
    : options_(std::move(options)), limiter_(clock) {}

absl::StatusOr<std::unique_ptr<EchoServer>> EchoServer::Start(EchoOptions options, Clock& clock) {
  if (options.listen.empty()) return absl::InvalidArgumentError("no address to listen on");
  std::unique_ptr<EchoServer> server(new EchoServer(std::move(options), clock));
  uint16_t port = server->options_.port;
  for (const IpAddress& address : server->options_.listen) {
    FLEET_RETURN_IF_ERROR(server->Bind(address, port));
    if (server->port_ == 0) {
      sockaddr_storage bound{};
      socklen_t size = sizeof(bound);
      ::getsockname(server->sockets_[0].get(), reinterpret_cast<sockaddr*>(&bound), &size);
      port = server->port_ = PortOf(bound);
    }
  }
  server->stop_ = ScopedFd(::eventfd(0, EFD_CLOEXEC));
  if (!server->stop_.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  server->thread_ = std::jthread([raw = server.get()] { raw->Serve(); });
  return server;
}

EchoServer::~EchoServer() {
  if (!thread_.joinable()) return;
  const uint64_t one = 1;
  // An eventfd whose counter is 0 takes one write.
  FLEET_ASSERT(::write(stop_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

absl::Status EchoServer::Bind(const IpAddress& address, uint16_t port) {
  ScopedFd fd(
      ::socket(address.ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "socket for the echo");
  // tincd may make the interface after us, and again after each of its restarts. And the way back
  // is not what the peer measures: a reply too big for it may be fragmented.
  const int one = 1;
  const int dont = IP_PMTUDISC_DONT;
  const int level = address.ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
  ::setsockopt(fd.get(), level, address.ipv6 ? IPV6_FREEBIND : IP_FREEBIND, &one, sizeof(one));
  ::setsockopt(fd.get(), level, address.ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &dont,
               sizeof(dont));
  sockaddr_storage socket_address;
  const socklen_t size = address.ToSocket(port, socket_address);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&socket_address), size) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("bind the echo to ", address.ToString(), " port ", port));
  }
  sockets_.push_back(std::move(fd));
  return absl::OkStatus();
}

EchoServer::Counters EchoServer::counters() const {
  return {answered_.load(), refused_.load(), limited_.load()};
}

void EchoServer::Serve() {
  std::vector<pollfd> polled;
  for (const ScopedFd& socket : sockets_) polled.push_back({socket.get(), POLLIN, 0});
  polled.push_back({stop_.get(), POLLIN, 0});
  while (true) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return;
    if (polled.back().revents != 0) return;
    for (size_t i = 0; i + 1 < polled.size(); ++i) {
      if (polled[i].revents != 0) Answer(polled[i].fd);
    }
  }
}

void EchoServer::Answer(int fd) {
  char buffer[kDatagramBytesMax];
  for (int i = 0; i < kBatch; ++i) {
    sockaddr_storage from{};
    socklen_t from_size = sizeof(from);
    // With MSG_TRUNC the size is the datagram's, also where the buffer is shorter.
    const ssize_t size = ::recvfrom(fd, buffer, sizeof(buffer), MSG_TRUNC,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
    // An error is some earlier answer's ICMP; reading it clears it.
    if (size < 0 && errno != EAGAIN && errno != EINTR) continue;
    if (size < 0) return;
    const auto source = IpAddress::FromSocket(from);
    const uint16_t source_port = PortOf(from);
    if (!source || !options_.Allows(*source) || static_cast<size_t>(size) > sizeof(buffer) ||
        source_port <= kWellKnownPortMax || source_port == kEchoPort || source_port == port_) {
      ++refused_;
    } else if (!limiter_.Allow(*source)) {
      ++limited_;
    } else if (::sendto(fd, buffer, static_cast<size_t>(size), 0,
                        reinterpret_cast<const sockaddr*>(&from), from_size) >= 0) {
      ++answered_;
    }
  }
}

EchoOptions EchoOptionsFromTinc(const HostFs& fs, const TincOptions& options) {
  EchoOptions echo;
  echo.port = options.echo_port;
  for (const std::string& name : TincNetNames(fs, options)) {
    const auto net = ReadTincNet(fs, name);
    if (!net.ok()) continue;  // the check says why
    for (const TincSubnet& subnet : net->own.subnets) {
      const auto address = IpAddress::Parse(subnet.address);
      if (address && subnet.is_host()) echo.listen.push_back(*address);
    }
    for (const auto& known : net->hosts) {
      const std::string& peer = known.first;
      const bool configured =
          options.peers.empty() ||
          std::any_of(options.peers.begin(), options.peers.end(),
                      [&](const TincPeer& entry) { return entry.name == peer; });
      if (!configured) continue;
      for (const TincSubnet& subnet : known.second.subnets) {
        if (const auto network = IpAddress::Parse(subnet.address)) {
          echo.peers.push_back({*network, subnet.prefix_length});
        }
      }
    }
  }
  for (const TincPeer& peer : options.peers) {
    const auto address = IpAddress::Parse(peer.address);
    if (address) echo.peers.push_back({*address, address->ipv6 ? 128 : 32});
  }
  return echo;
}

}  // namespace fleet::agent
