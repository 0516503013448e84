#include "common/probe/ip_family.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

namespace fleet::probe {

IpFamily FamilyOf(absl::string_view address) {
  const std::string text(address);
  unsigned char bytes[sizeof(in6_addr)];
  if (::inet_pton(AF_INET, text.c_str(), bytes) == 1) return IpFamily::kIpv4;
  if (::inet_pton(AF_INET6, text.c_str(), bytes) == 1) return IpFamily::kIpv6;
  return IpFamily::kAny;
}

}  // namespace fleet::probe
