#include "collector/acceptor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr int kBacklog = 4096;
/// What cannot be taken (no descriptors left) is tried again after.
constexpr absl::Duration kPause = absl::Milliseconds(100);
constexpr ShutReason kReasons[] = {ShutReason::kTotal, ShutReason::kAddress,
                                   ShutReason::kHandshakes, ShutReason::kUnread};
/// One machine has few connections: together they may hold so many times what one may.
constexpr uint64_t kConnectionsUnread = 4;

uint16_t PortOf(const sockaddr_storage& address) {
  // sin_port and sin6_port lie at the same place.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

}  // namespace

absl::string_view ShutReasonName(ShutReason reason) {
  switch (reason) {
    case ShutReason::kTotal:
      return "total";
    case ShutReason::kAddress:
      return "address";
    case ShutReason::kHandshakes:
      return "handshakes";
    case ShutReason::kUnread:
      return "unread";
  }
  return "";
}

std::string LimitKey(const std::string& address) {
  if (!absl::StrContains(address, ':')) return address;
  in6_addr six = {};
  if (::inet_pton(AF_INET6, address.c_str(), &six) != 1) return address;
  char text[INET6_ADDRSTRLEN] = "";
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    ::inet_ntop(AF_INET, &six.s6_addr[12], text, sizeof(text));
    return text;
  }
  std::fill(six.s6_addr + 8, six.s6_addr + 16, uint8_t{0});
  ::inet_ntop(AF_INET6, &six, text, sizeof(text));
  return absl::StrCat(text, "/64");
}

// ---- who is connected -----------------------------------------------------------------------

void OpenSockets::Erase(int fd) {
  const auto found = sockets_.find(fd);
  if (found == sockets_.end()) return;
  const auto count = by_address_.find(found->second.address);
  if (--count->second == 0) by_address_.erase(count);
  sockets_.erase(found);
}

void OpenSockets::Add(int fd, const std::string& address) {
  Erase(fd);  // the number is new, so its old socket is closed
  sockets_.emplace(fd, Socket{socket_of_(fd), address});
  ++by_address_[address];
}

void OpenSockets::Sweep() {
  std::vector<int> closed;
  for (const auto& [fd, socket] : sockets_) {
    if (socket_of_(fd) != socket.id) closed.push_back(fd);
  }
  for (const int fd : closed) Erase(fd);
}

size_t OpenSockets::CountOf(const std::string& address) const {
  const auto found = by_address_.find(address);
  return found == by_address_.end() ? 0 : found->second;
}

bool OpenSockets::Has(int fd) const {
  const auto found = sockets_.find(fd);
  return found != sockets_.end() && found->second.id == socket_of_(fd);
}

// ---- accepting ------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const Address& address,
                                                           const ConnectionOptions& options,
                                                           Newcomers& newcomers, Clock& clock) {
  FLEET_ASSIGN_OR_RETURN(Listener listener, ListenTcp(address));
  // A whole fleet may come back at once.
  if (::listen(listener.fd.get(), kBacklog) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("listen on ", address.ToString()));
  }
  ScopedFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return absl::ErrnoToStatus(errno, "eventfd");
  return std::unique_ptr<Acceptor>(
      new Acceptor(std::move(listener), options, newcomers, clock, std::move(wake)));
}

Acceptor::Acceptor(Listener listener, const ConnectionOptions& options, Newcomers& newcomers,
                   Clock& clock, ScopedFd wake)
    : listener_(std::move(listener)),
      options_(options),
      newcomers_(newcomers),
      clock_(clock),
      wake_(std::move(wake)),
      handshakes_(options.handshakes_per_second, options.handshakes_burst, clock),
      unread_({.connection = options.unread_bytes,
               .address = kConnectionsUnread * options.unread_bytes},
              clock),
      swept_(clock.SteadyNow()),
      looked_(swept_) {}

Acceptor::~Acceptor() { Stop(); }

void Acceptor::Start(Handle handle) {
  handle_ = std::move(handle);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof(one)) != sizeof(one))
    log::Error("cannot wake the acceptor");
  thread_.join();
  listener_.fd.Reset();
}

void Acceptor::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd fds[] = {{listener_.fd.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    const absl::Duration wait = sockets_.size() > 0 ? kLookEvery : kCountEvery;
    const int ready = ::poll(fds, 2, static_cast<int>(absl::ToInt64Milliseconds(wait)));
    ShutUnreadIfDue();
    if ((ready == 0 && wait == kCountEvery) || clock_.SteadyNow() - swept_ >= kCountEvery) {
      SweepIfDue();
    }
    if (fds[0].revents == 0) continue;
    while (!stop.stop_requested() && TakeOne()) {
    }
  }
}

bool Acceptor::TakeOne() {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  ScopedFd fd(::accept4(listener_.fd.get(), reinterpret_cast<sockaddr*>(&storage), &size,
                        SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd.valid()) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pollfd wait = {wake_.get(), POLLIN, 0};
      ::poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(kPause)));
      return false;
    }
    return errno != EAGAIN && errno != EWOULDBLOCK;
  }
  const std::string host = HostOf(reinterpret_cast<const sockaddr*>(&storage));
  const std::string address = LimitKey(host);
  if (!Admit(address)) {
    // Reset rather than closed: what is refused leaves no TIME_WAIT behind.
    const linger reset = {1, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    return true;
  }
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  sockets_.Add(fd.get(), address);
  newcomers_.Arrived(fd.get(), host, PortOf(storage));
  unread_.Arrived(fd.get(), host, PortOf(storage), address);
  open_ = sockets_.size();
  ++accepted_;
  handle_(fd.Release());
  return true;
}

void Acceptor::SweepIfDue() {
  const SteadyTime now = clock_.SteadyNow();
  if (now - swept_ < kSweepEvery) return;
  swept_ = now;
  sockets_.Sweep();
  open_ = sockets_.size();
}

void Acceptor::ShutUnreadIfDue() {
  const SteadyTime now = clock_.SteadyNow();
  if (now - looked_ < kLookEvery) return;
  looked_ = now;
  for (const UnreadWatch::Excess& excess : unread_.Look()) {
    if (!sockets_.Has(excess.fd)) continue;
    // Its owner finds the end and closes it.
    ::shutdown(excess.fd, SHUT_RDWR);
    Refuse(ShutReason::kUnread, excess.address);
  }
}

bool Acceptor::Admit(const std::string& address) {
  if (!handshakes_.Allow(address)) {
    Refuse(ShutReason::kHandshakes, address);
    return false;
  }
  // Looked into only when it matters.
  if (sockets_.CountOf(address) >= options_.per_address || sockets_.size() >= options_.total) {
    SweepIfDue();
  }
  if (sockets_.size() >= options_.total) {
    Refuse(ShutReason::kTotal, address);
    return false;
  }
  if (sockets_.CountOf(address) >= options_.per_address) {
    Refuse(ShutReason::kAddress, address);
    return false;
  }
  return true;
}

void Acceptor::Refuse(ShutReason reason, const std::string& address) {
  ++shut_[static_cast<size_t>(reason)];
  MutexLock lock(mutex_);
  last_[static_cast<size_t>(reason)] = {clock_.SteadyNow(), address, true};
}

std::vector<std::string> Acceptor::Notes() const {
  std::vector<std::string> notes;
  MutexLock lock(mutex_);
  for (const ShutReason reason : kReasons) {
    const Last& last = last_[static_cast<size_t>(reason)];
    if (!last.any || clock_.SteadyNow() - last.at > kNoteTime) continue;
    std::string what;
    switch (reason) {
      case ShutReason::kTotal:
        what = absl::StrCat("more than ", options_.total, " connections");
        break;
      case ShutReason::kAddress:
        what = absl::StrCat("more than ", options_.per_address, " connections of one address");
        break;
      case ShutReason::kHandshakes:
        what = absl::StrCat("more than ", options_.handshakes_per_second,
                            " new connections a second of one address");
        break;
      case ShutReason::kUnread:
        what = absl::StrCat("more than ", options_.unread_bytes,
                            " bytes sent without the end of a message");
        break;
    }
    notes.push_back(absl::StrCat("limit: ", what, ", last from ", last.address, "; ", shut(reason),
                                 " closed since the start"));
  }
  return notes;
}

}  // namespace fleet::collector
