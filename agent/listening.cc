#include "agent/listening.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/parse/inet_diag.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// Whether some complete line of `text` from `begin` on is a socket in another state than LISTEN.
bool PastListening(absl::string_view text) {
  for (size_t end = text.find('\n'); end != absl::string_view::npos; end = text.find('\n')) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(text.substr(0, end), absl::MaxSplits(' ', 8), absl::SkipEmpty());
    if (fields.size() > 3 && fields[3].size() == 2 && fields[3] != "st" && fields[3] != "0A") {
      return true;
    }
    text.remove_prefix(end + 1);
  }
  return false;
}

/// The start of /proc/net/tcp{,6} up to a socket that does not listen; whole lines only.
absl::StatusOr<std::string> ReadListeners(const HostFs& fs, absl::string_view path) {
  const std::string full = fs.Path(path);
  const ScopedFd fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", full));
  std::string text;
  size_t checked = 0;  // start of the last line not yet looked at
  while (true) {
    char buffer[8192];
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", full));
    if (got == 0) break;
    text.append(buffer, static_cast<size_t>(got));
    if (PastListening(absl::string_view(text).substr(checked))) {
      text.resize(text.rfind('\n') + 1);
      break;
    }
    const size_t last = text.rfind('\n');
    if (last != std::string::npos) checked = last + 1;
    if (text.size() > HostFs::kReadBytesMax) {
      return absl::ResourceExhaustedError(absl::StrCat("read ", full, ": too many listeners"));
    }
  }
  return text;
}

constexpr size_t kDatagramBytesMax = 32 << 10;
constexpr size_t kListenersMax = 65'536;

struct DiagRequest {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

std::string AddressText(const TcpConnection& socket) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(socket.ipv6 ? AF_INET6 : AF_INET, socket.local.data(), text, sizeof(text));
  return text;
}

/// Appends the listeners of one family: a dump of the kernel's table of listeners alone.
absl::Status AskForListeners(int fd, int family, std::vector<TcpListener>& found) {
  DiagRequest request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = static_cast<uint8_t>(family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = 1 << TCP_LISTEN;
  if (::send(fd, &request, sizeof(request), 0) < 0) {
    return absl::ErrnoToStatus(errno, "ask sock_diag");
  }
  std::string buffer(kDatagramBytesMax, '\0');
  while (true) {
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return absl::ErrnoToStatus(errno, "read sock_diag");
    FLEET_ASSIGN_OR_RETURN(const InetDiag diag,
                           ParseInetDiag({buffer.data(), static_cast<size_t>(size)}));
    for (const TcpConnection& socket : diag.connections) {
      if (found.size() == kListenersMax) {
        return absl::ResourceExhaustedError("sock_diag: too many listeners");
      }
      found.push_back({AddressText(socket), socket.local_port});
    }
    if (diag.done) return absl::OkStatus();
  }
}

absl::StatusOr<std::vector<TcpListener>> ListenersBySockDiag() {
  const ScopedFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, "open sock_diag");
  // The kernel answers while it is asked; this is for the day it does not.
  const timeval wait{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  std::vector<TcpListener> found;
  for (const int family : {AF_INET, AF_INET6}) {
    FLEET_RETURN_IF_ERROR(AskForListeners(fd.get(), family, found));
  }
  return found;
}

absl::StatusOr<std::vector<TcpListener>> ListenersByFiles(const HostFs& fs) {
  std::vector<TcpListener> listeners;
  for (const absl::string_view path : {"proc/net/tcp", "proc/net/tcp6"}) {
    const auto text = ReadListeners(fs, path);
    if (absl::IsNotFound(text.status())) continue;
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(std::vector<TcpListener> found, ParseNetTcp(*text));
    std::move(found.begin(), found.end(), std::back_inserter(listeners));
  }
  return listeners;
}

}  // namespace

absl::StatusOr<std::vector<TcpListener>> ListeningTcp(const HostFs& fs) {
  std::vector<TcpListener> listeners;
  auto told = fs.live() ? ListenersBySockDiag() : absl::UnimplementedError("a fixture host");
  if (told.ok()) {
    listeners = *std::move(told);
  } else {
    FLEET_ASSIGN_OR_RETURN(listeners, ListenersByFiles(fs));
  }
  const auto key = [](const TcpListener& l) { return std::tie(l.port, l.address); };
  std::sort(listeners.begin(), listeners.end(),
            [&key](const TcpListener& a, const TcpListener& b) { return key(a) < key(b); });
  // SO_REUSEPORT: once per process.
  listeners.erase(std::unique(listeners.begin(), listeners.end()), listeners.end());
  return listeners;
}

absl::StatusOr<Listening> ListeningPorts(const HostFs& fs) {
  Listening listening;
  FLEET_ASSIGN_OR_RETURN(listening.tcp, ListeningTcp(fs));
  const auto text = fs.Read("proc/net/unix", 64 << 20);
  if (!absl::IsNotFound(text.status())) {
    FLEET_RETURN_IF_ERROR(text.status());
    FLEET_ASSIGN_OR_RETURN(listening.unix_paths, ParseNetUnix(*text));
  }
  std::sort(listening.unix_paths.begin(), listening.unix_paths.end());
  listening.unix_paths.erase(std::unique(listening.unix_paths.begin(), listening.unix_paths.end()),
                             listening.unix_paths.end());
  return listening;
}

std::string DialAddress(const TcpListener& listener) {
  if (listener.address == "0.0.0.0") return "127.0.0.1";
  if (listener.address == "::") return "::1";
  return listener.address;
}

std::string DialHostPort(const TcpListener& listener) {
  const std::string address = DialAddress(listener);
  return absl::StrContains(address, ':') ? absl::StrCat("[", address, "]:", listener.port)
                                         : absl::StrCat(address, ":", listener.port);
}

}  // namespace fleet::agent
