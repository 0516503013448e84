#include "common/probe/allow_list.h"

#include <arpa/inet.h>

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

constexpr absl::string_view kMethods[] = {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
constexpr char kMapped[] = "\0\0\0\0\0\0\0\0\0\0\xff\xff";

/// 4 or 16 bytes; empty when it is no address. An IPv4 address in an IPv6 one is that address.
std::string Bytes(absl::string_view text) {
  std::string bytes(16, '\0');
  const std::string copy(text);
  if (::inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1) return bytes.substr(0, 4);
  if (::inet_pton(AF_INET6, copy.c_str(), bytes.data()) != 1) return {};
  const bool mapped = absl::StartsWith(bytes, absl::string_view(kMapped, 12));
  return mapped ? bytes.substr(12) : bytes;
}

bool SamePrefix(absl::string_view a, absl::string_view b, int bits) {
  if (a.size() != b.size()) return false;
  const auto whole = static_cast<size_t>(bits / 8);
  if (a.substr(0, whole) != b.substr(0, whole)) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest) & 0xff;
  return (static_cast<unsigned char>(a[whole]) & mask) ==
         (static_cast<unsigned char>(b[whole]) & mask);
}

}  // namespace

absl::StatusOr<AllowList::Network> AllowList::ParseNetwork(absl::string_view text) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat(Quote(text),
                   ": expected an address or network such as 10.235.0.0/16, 10.235.0.4:9000 or "
                   "[fd00::1]:443, or a method such as POST"));
  Network network;
  absl::string_view address = text;
  absl::string_view port;
  if (absl::ConsumePrefix(&address, "[")) {
    const size_t close = address.find("]:");
    if (close == absl::string_view::npos) return wrong;
    port = address.substr(close + 2);
    address = address.substr(0, close);
  } else if (absl::c_count(address, ':') == 1) {
    const size_t colon = address.find(':');
    port = address.substr(colon + 1);
    address = address.substr(0, colon);
  }
  if (!port.empty() &&
      (!absl::SimpleAtoi(port, &network.port) || network.port < 1 || network.port > 65535)) {
    return wrong;
  }
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(address, absl::MaxSplits('/', 1));
  network.bytes = Bytes(halves.first);
  if (network.bytes.empty()) return wrong;
  const int bits_max = static_cast<int>(network.bytes.size()) * 8;
  network.bits = bits_max;
  if (absl::StrContains(address, '/') && (!absl::SimpleAtoi(halves.second, &network.bits) ||
                                          network.bits < 0 || network.bits > bits_max)) {
    return wrong;
  }
  return network;
}

absl::StatusOr<AllowList> AllowList::Parse(absl::Span<const std::string> entries) {
  AllowList list;
  for (const std::string& entry : entries) {
    if (absl::c_linear_search(kMethods, entry)) {
      list.methods_.push_back(entry);
      continue;
    }
    FLEET_ASSIGN_OR_RETURN(Network network, ParseNetwork(entry));
    list.networks_.push_back(std::move(network));
  }
  return list;
}

bool AllowList::AllowsAddress(absl::string_view address, int port) const {
  const std::string bytes = Bytes(address);
  return absl::c_any_of(networks_, [&](const Network& network) {
    return (network.port == 0 || network.port == port) &&
           SamePrefix(bytes, network.bytes, network.bits);
  });
}

bool AllowList::AllowsMethod(absl::string_view method) const {
  return method == "GET" || method == "HEAD" || absl::c_linear_search(methods_, method);
}

}  // namespace fleet::probe
