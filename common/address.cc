#include "common/address.h"

#include <arpa/inet.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet {

std::string Address::ToString() const {
  return absl::StrContains(host, ':') ? absl::StrCat("[", host, "]:", port)
                                      : absl::StrCat(host, ":", port);
}

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  const auto wrong = [text](absl::string_view expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " is not an address: expected ", expected));
  };
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return wrong("host:port");
  absl::string_view host = text.substr(0, colon);
  const absl::string_view digits = text.substr(colon + 1);
  uint32_t port = 0;
  if (digits.empty() || digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return wrong("a port of 0 to 65535 after the last colon");
  }
  const bool brackets = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (brackets) host = host.substr(1, host.size() - 2);
  if (host.empty()) return wrong("host:port");
  if (!brackets && absl::StrContains(host, ':')) return wrong("[host]:port for IPv6");
  for (const char c : host) {
    if (c <= ' ' || c == 0x7f || c == '/' || c == '[' || c == ']') return wrong("host:port");
  }
  return Address{std::string(host), static_cast<uint16_t>(port)};
}

bool IsLoopback(absl::string_view host) {
  if (host == "localhost") return true;
  const std::string text(host);
  in_addr four;
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six;
  return ::inet_pton(AF_INET6, text.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

}  // namespace fleet
