#include "collector/http/listen.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

absl::StatusOr<sockaddr_storage> ToSocketAddress(const Address& address, socklen_t& size) {
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  sockaddr_storage storage{};
  auto* four = reinterpret_cast<sockaddr_in*>(&storage);
  if (::inet_pton(AF_INET, host.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(address.port);
    size = sizeof(sockaddr_in);
    return storage;
  }
  auto* six = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET6, host.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(address.port);
    size = sizeof(sockaddr_in6);
    return storage;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on ", Quote(address.host), ": expected a numeric address"));
}

}  // namespace

std::string HostOf(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address == nullptr) return text;
  if (address->sa_family == AF_INET) {
    sockaddr_in four;
    std::memcpy(&four, address, sizeof(four));
    ::inet_ntop(AF_INET, &four.sin_addr, text, sizeof(text));
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 six;
    std::memcpy(&six, address, sizeof(six));
    ::inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof(text));
  }
  return text;
}

absl::StatusOr<Listener> ListenTcp(const Address& address) {
  socklen_t size = 0;
  absl::StatusOr<sockaddr_storage> storage = ToSocketAddress(address, size);
  if (!storage.ok()) return storage.status();
  const auto failed = [&address](absl::string_view what) {
    return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", address.ToString()));
  };
  Listener listener;
  listener.fd =
      ScopedFd(::socket(storage->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.fd.valid()) return failed("socket for");
  const int on = 1;
  ::setsockopt(listener.fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(listener.fd.get(), reinterpret_cast<sockaddr*>(&*storage), size) != 0) {
    return failed("bind");
  }
  if (::listen(listener.fd.get(), 511) != 0) return failed("listen on");
  if (::getsockname(listener.fd.get(), reinterpret_cast<sockaddr*>(&*storage), &size) != 0) {
    return failed("getsockname of");
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(&*storage);
  const auto* six = reinterpret_cast<const sockaddr_in6*>(&*storage);
  listener.address = {HostOf(reinterpret_cast<const sockaddr*>(&*storage)),
                      ntohs(storage->ss_family == AF_INET ? four->sin_port : six->sin6_port)};
  return listener;
}

}  // namespace fleet::collector
