#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

namespace fleet::probe {

/// A numeric address as the kernel takes it.
struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t size = 0;  // 0: it was none
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
SocketAddress MakeSocketAddress(const std::string& address, int port);

/// The inverse, without the port; empty for other families.
std::string AddressText(const sockaddr& address);

}  // namespace fleet::probe
