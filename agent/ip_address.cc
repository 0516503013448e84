#include "agent/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

namespace fleet::agent {

std::optional<IpAddress> IpAddress::Parse(absl::string_view text) {
  const std::string copy(text);
  IpAddress ip;
  if (::inet_pton(AF_INET, copy.c_str(), ip.bytes.data()) == 1) return ip;
  ip.ipv6 = true;
  if (::inet_pton(AF_INET6, copy.c_str(), ip.bytes.data()) == 1) return ip;
  return std::nullopt;
}

std::optional<IpAddress> IpAddress::FromSocket(const sockaddr_storage& address) {
  IpAddress ip;
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    std::memcpy(ip.bytes.data(), &in.sin_addr, 4);
    return ip;
  }
  if (address.ss_family != AF_INET6) return std::nullopt;
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
  if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
    std::memcpy(ip.bytes.data(), in6.sin6_addr.s6_addr + 12, 4);
    return ip;
  }
  ip.ipv6 = true;
  std::memcpy(ip.bytes.data(), &in6.sin6_addr, 16);
  return ip;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(ipv6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof(text));
  return text;
}

bool IpAddress::In(const IpAddress& network, int prefix_length) const {
  if (ipv6 != network.ipv6) return false;
  for (int bit = 0; bit < prefix_length; bit += 8) {
    const int bits = std::min(8, prefix_length - bit);
    const auto mask = static_cast<uint8_t>(0xff << (8 - bits));
    const auto at = static_cast<size_t>(bit / 8);
    if ((bytes[at] & mask) != (network.bytes[at] & mask)) return false;
  }
  return true;
}

socklen_t IpAddress::ToSocket(uint16_t port, sockaddr_storage& address) const {
  address = {};
  if (ipv6) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(port);
    std::memcpy(&in6.sin6_addr, bytes.data(), 16);
    return sizeof(in6);
  }
  auto& in = reinterpret_cast<sockaddr_in&>(address);
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  std::memcpy(&in.sin_addr, bytes.data(), 4);
  return sizeof(in);
}

}  // namespace fleet::agent
