#include "agent/tinc_probe.h"

#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>

#include "absl/strings/str_cat.h"
#include "agent/tinc_meta.h"
#include "common/scoped_fd.h"

namespace fleet::agent {
namespace {

constexpr absl::Duration kWait = absl::Milliseconds(1500);
/// After this much silence on UDP the TCP connect starts.
constexpr absl::Duration kSilence = absl::Milliseconds(500);
constexpr size_t kTargetsMax = 256;  // two sockets each, three where UDP is silent
constexpr int kBigPacketBytesMax = 9000;
constexpr int kResendsMax = 3;  // of the big one, each time the kernel learns a smaller path MTU

int UdpHeaderBytes(bool ipv6) { return ipv6 ? 48 : 28; }

/// One packet on its way: a UDP socket or a TCP connect.
struct Flight {
  ScopedFd fd;
  SteadyTime sent;
  int payload_bytes = 0;
  int resends = 0;
  bool tcp = false;
  bool done = false;
};

class Prober final : public TincProber {
 public:
  std::vector<TincProbeResult> Probe(absl::Span<const TincProbeTarget> targets,
                                     absl::Duration timeout) override {
    std::vector<TincProbeResult> results(targets.size());
    std::vector<Peer> peers;
    peers.reserve(targets.size());
    const SteadyTime start = Now();
    const SteadyTime end = SteadyAfter(start, std::min(timeout, kWait));
    nonce_ = random_();
    for (size_t i = 0; i < targets.size(); ++i) {
      if (i >= kTargetsMax) {
        results[i].sent = absl::ResourceExhaustedError(
            absl::StrCat("more than ", kTargetsMax, " peers, this one is not probed"));
        continue;
      }
      peers.emplace_back(Peer{&targets[i], &results[i], {}, {}, {}});
      SendUdp(peers.back());
    }
    while (Now() < end && Step(peers, start, end)) {
    }
    return results;
  }

  std::vector<TcpConnection> MetaConnections(bool ipv6, uint16_t port) override {
    return ReadTcpConnections(ipv6, port).value_or(std::vector<TcpConnection>{});
  }

 private:
  struct Peer {
    const TincProbeTarget* target;
    TincProbeResult* result;
    Flight small, big, tcp;

    bool wants_tcp() const {
      return !tcp.fd.valid() && !tcp.done && !result->reachable() && !result->unreachable;
    }
    bool done() const {
      // Whoever answers TCP while UDP is silent has no echo for us: nothing more will come.
      const bool tcp_decided = tcp.done && result->reachable();
      return (small.done && (big.done || tcp_decided) && !wants_tcp() && tcp_settled()) ||
             tcp_decided;
    }
    bool tcp_settled() const { return !tcp.fd.valid() || tcp.done; }
  };

  static SteadyTime Now() { return std::chrono::steady_clock::now(); }

  /// One wait and what came of it. False when nobody waits for anything any more.
  bool Step(std::vector<Peer>& peers, SteadyTime start, SteadyTime end) {
    const SteadyTime silent = SteadyAfter(start, kSilence);
    std::vector<pollfd> polled;
    std::vector<std::pair<Peer*, Flight*>> flights;
    bool waiting_for_silence = false;
    for (Peer& peer : peers) {
      if (peer.done()) continue;
      if (peer.wants_tcp()) {
        if (peer.small.done || Now() >= silent) {
          StartTcp(peer);
        } else {
          waiting_for_silence = true;
        }
      }
      for (Flight* flight : {&peer.small, &peer.big, &peer.tcp}) {
        if (flight->done || !flight->fd.valid()) continue;
        polled.push_back({flight->fd.get(), static_cast<short>(flight->tcp ? POLLOUT : POLLIN), 0});
        flights.emplace_back(&peer, flight);
      }
    }
    if (flights.empty() && !waiting_for_silence) return false;
    const SteadyTime until = waiting_for_silence ? std::min(silent, end) : end;
    const int64_t wait_ms = absl::ToInt64Milliseconds(until - Now()) + 1;
    const int ready = ::poll(polled.data(), polled.size(),
                             static_cast<int>(std::clamp<int64_t>(wait_ms, 0, 2000)));
    for (size_t i = 0; ready > 0 && i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      Peer& peer = *flights[i].first;
      Flight& flight = *flights[i].second;
      if (flight.tcp) {
        int error = 0;
        socklen_t size = sizeof(error);
        ::getsockopt(polled[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
        FinishTcp(peer, flight, error);
      } else {
        ReadUdp(peer, flight);
      }
    }
    return true;
  }

  /// 0 or an errno.
  static int OpenUdp(const TincProbeTarget& target, Flight& flight) {
    const bool ipv6 = target.address.ipv6;
    flight.fd =
        ScopedFd(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!flight.fd.valid()) return errno;
    const int one = 1;
    const int discover = IP_PMTUDISC_DO;
    const int level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const int fd = flight.fd.get();
    ::setsockopt(fd, level, ipv6 ? IPV6_RECVERR : IP_RECVERR, &one, sizeof(one));
    ::setsockopt(fd, level, ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &discover,
                 sizeof(discover));
    return Connect(target, fd);
  }

  /// 0 or an errno. Bound to the tunnel: by another route a packet might reach a stranger with the
  /// same address.
  static int Connect(const TincProbeTarget& target, int fd) {
    if (!target.interface.empty()) {
      ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, target.interface.c_str(),
                   static_cast<socklen_t>(target.interface.size()));
    }
    sockaddr_storage address;
    const socklen_t size = target.address.ToSocket(target.port, address);
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0 ? 0 : errno;
  }

  void SendUdp(Peer& peer) {
    for (Flight* flight : {&peer.small, &peer.big}) {
      if (const int error = OpenUdp(*peer.target, *flight); error != 0) {
        flight->done = true;
        Judge(peer, *flight, error, /*from_peer=*/false);
        continue;
      }
      flight->payload_bytes = kSmallProbeBytes;
      if (flight == &peer.big) {
        flight->payload_bytes = BigPayload(peer);
        if (flight->payload_bytes <= kSmallProbeBytes) flight->done = true;
      }
      if (!flight->done) Send(peer, *flight);
    }
  }

  static int BigPayload(const Peer& peer) {
    const bool ipv6 = peer.target->address.ipv6;
    int mtu = 0;
    socklen_t size = sizeof(mtu);
    ::getsockopt(peer.big.fd.get(), ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_MTU : IP_MTU,
                 &mtu, &size);
    return std::min(mtu, kBigPacketBytesMax) - UdpHeaderBytes(ipv6);
  }

  void Send(Peer& peer, Flight& flight) {
    const bool big = &flight == &peer.big;
    char payload[kBigPacketBytesMax] = {};
    while (true) {
      std::memcpy(payload, &nonce_, sizeof(nonce_));
      flight.sent = Now();
      if (big) peer.result->big_packet_bytes = PacketBytes(peer, flight);
      if (::send(flight.fd.get(), payload, static_cast<size_t>(flight.payload_bytes), 0) >= 0) {
        return;
      }
      const int error = errno;
      if (error == EMSGSIZE && big && Shrink(peer, flight)) continue;
      flight.done = true;
      Judge(peer, flight, error, /*from_peer=*/false);
      return;
    }
  }

  static int PacketBytes(const Peer& peer, const Flight& flight) {
    return flight.payload_bytes + UdpHeaderBytes(peer.target->address.ipv6);
  }

  /// To the path MTU that the kernel knows by now; false when that is no help.
  static bool Shrink(const Peer& peer, Flight& flight) {
    const int payload = BigPayload(peer);
    if (payload >= flight.payload_bytes || payload <= kSmallProbeBytes ||
        ++flight.resends > kResendsMax) {
      return false;
    }
    flight.payload_bytes = payload;
    return true;
  }

  void Answered(Peer& peer, const Flight& flight, SteadyTime now) {
    (&flight == &peer.big ? peer.result->big : peer.result->small) = now - flight.sent;
  }

  /// What an error means for a flight that is over by it.
  void Judge(Peer& peer, const Flight& flight, int error, bool from_peer) {
    if (error == ECONNREFUSED && from_peer) {
      Answered(peer, flight, Now());  // alive, without an echo
    } else if (error == ENETUNREACH || error == EHOSTUNREACH) {
      peer.result->unreachable = true;
    } else if (error != ECONNREFUSED && error != EMSGSIZE) {
      peer.result->sent = absl::ErrnoToStatus(error, "send a probe");
    }
  }

  void ReadUdp(Peer& peer, Flight& flight) {
    char buffer[kBigPacketBytesMax];
    const ssize_t size = ::recv(flight.fd.get(), buffer, sizeof(buffer), MSG_TRUNC);
    if (size >= 0) {
      if (size != flight.payload_bytes || std::memcmp(buffer, &nonce_, sizeof(nonce_)) != 0) return;
      flight.done = true;
      peer.result->echo = true;
      Answered(peer, flight, Now());
      return;
    }
    ReadErrorQueue(peer, flight);
  }

  void ReadErrorQueue(Peer& peer, Flight& flight) {
    char data[512];
    alignas(cmsghdr) char control[512];
    iovec vector{data, sizeof(data)};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    if (::recvmsg(flight.fd.get(), &message, MSG_ERRQUEUE) < 0) return;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      const bool is_error =
          (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_RECVERR) ||
          (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_RECVERR);
      if (!is_error) continue;
      const auto* error = reinterpret_cast<const sock_extended_err*>(CMSG_DATA(header));
      if (error->ee_errno == EMSGSIZE) {
        if (&flight == &peer.big && Shrink(peer, flight)) {
          Send(peer, flight);
        }
        return;  // otherwise silence follows, which is the loss of the big one
      }
      // The offender is who sent the ICMP. tincd forges the dead peer's address too, but never a
      // port unreachable.
      sockaddr_storage offender{};
      const bool ipv6 = header->cmsg_level == IPPROTO_IPV6;
      std::memcpy(&offender, SO_EE_OFFENDER(error),
                  ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
      flight.done = true;
      Judge(peer, flight, static_cast<int>(error->ee_errno),
            IpAddress::FromSocket(offender) == peer.target->address);
      return;
    }
  }

  void StartTcp(Peer& peer) {
    const TincProbeTarget& target = *peer.target;
    Flight& flight = peer.tcp;
    flight.tcp = true;
    flight.fd = ScopedFd(::socket(target.address.ipv6 ? AF_INET6 : AF_INET,
                                  SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!flight.fd.valid()) {
      flight.done = true;
      peer.result->sent = absl::ErrnoToStatus(errno, "socket");
      return;
    }
    // Whoever does listen there sees a connection that is reset at once, and we keep no TIME_WAIT.
    const linger reset{1, 0};
    ::setsockopt(flight.fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    flight.sent = Now();
    if (const int error = Connect(target, flight.fd.get()); error != EINPROGRESS) {
      FinishTcp(peer, flight, error);
    }
  }

  static void FinishTcp(Peer& peer, Flight& flight, int error) {
    flight.done = true;
    if (error == 0 || error == ECONNREFUSED) {
      peer.result->tcp = Now() - flight.sent;
    } else if (error == ENETUNREACH || error == EHOSTUNREACH) {
      peer.result->unreachable = true;
    } else if (error != ETIMEDOUT) {
      peer.result->sent = absl::ErrnoToStatus(error, "connect");
    }
    flight.fd.Reset();
  }

  std::mt19937_64 random_{std::random_device{}()};
  uint64_t nonce_ = 0;
};

}  // namespace

std::unique_ptr<TincProber> MakeTincProber() { return std::make_unique<Prober>(); }

}  // namespace fleet::agent
