#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"
#include "common/probe/probe.h"
#include "common/status_macros.h"

namespace fleet::probe {
namespace {

/// A block of addresses that are not the public's.
struct Block {
  const char* network;
  int bits;
  const char* what;
};

// IANA's special-purpose registries of IPv4 and IPv6, but for what is reachable globally.
constexpr std::array kBlocks4 = {
    Block{"0.0.0.0", 8, "this network"},    Block{"10.0.0.0", 8, "private"},
    Block{"100.64.0.0", 10, "shared"},      Block{"127.0.0.0", 8, "loopback"},
    Block{"169.254.0.0", 16, "link-local"}, Block{"172.16.0.0", 12, "private"},
    Block{"192.0.0.0", 24, "reserved"},     Block{"192.0.2.0", 24, "reserved"},
    Block{"192.88.99.0", 24, "reserved"},   Block{"192.168.0.0", 16, "private"},
    Block{"198.18.0.0", 15, "reserved"},    Block{"198.51.100.0", 24, "reserved"},
    Block{"203.0.113.0", 24, "reserved"},   Block{"224.0.0.0", 4, "multicast"},
    Block{"240.0.0.0", 4, "reserved"},
};
// Beyond these, only 2000::/3 is anybody's.
constexpr std::array kBlocks6 = {
    Block{"::", 128, "unspecified"}, Block{"::1", 128, "loopback"},
    Block{"fc00::", 7, "private"},   Block{"fe80::", 10, "link-local"},
    Block{"fec0::", 10, "private"},  Block{"ff00::", 8, "multicast"},
    Block{"2001::", 23, "reserved"}, Block{"2001:db8::", 32, "reserved"},
    Block{"3fff::", 20, "reserved"},
};
constexpr Block kPublic6 = {"2000::", 3, "public"};

/// Ways to write an IPv4 address as an IPv6 one, and where it stands.
struct Embedding {
  Block block;
  size_t offset;  // bytes
};
constexpr std::array kEmbeddings = {
    Embedding{{"::ffff:0:0", 96, "mapped"}, 12},
    Embedding{{"::", 96, "compatible"}, 12},
    Embedding{{"64:ff9b::", 96, "NAT64"}, 12},
    Embedding{{"2002::", 16, "6to4"}, 2},
};

/// Whether the first `bits` of both are the same.
bool SameBits(const unsigned char* a, const unsigned char* b, int bits) {
  const auto bytes = static_cast<size_t>(bits / 8);
  if (std::memcmp(a, b, bytes) != 0) return false;
  const int rest = bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest) & 0xff;
  return (a[bytes] & mask) == (b[bytes] & mask);
}

bool InBlock(const unsigned char* address, int family, const Block& block) {
  unsigned char network[sizeof(in6_addr)] = {};
  return ::inet_pton(family, block.network, network) == 1 && SameBits(address, network, block.bits);
}

/// What block of addresses that are not the public's it stands in; empty for a public one.
std::string BlockOf4(const unsigned char* address) {
  for (const Block& block : kBlocks4) {
    if (InBlock(address, AF_INET, block)) return block.what;
  }
  return "";
}

std::string BlockOf6(const unsigned char* address) {
  for (const Block& block : kBlocks6) {
    if (InBlock(address, AF_INET6, block)) return block.what;
  }
  for (const Embedding& embedding : kEmbeddings) {
    if (!InBlock(address, AF_INET6, embedding.block)) continue;
    return BlockOf4(address + embedding.offset);
  }
  return InBlock(address, AF_INET6, kPublic6) ? "" : "reserved";
}

/// A network that the operator has named.
struct Network {
  int family = AF_INET;
  unsigned char bytes[sizeof(in6_addr)] = {};
  int bits = 0;
};

absl::StatusOr<Network> ParseNetwork(const std::string& text) {
  Network network;
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits('/', 1));
  network.family = absl::StrContains(parts.first, ':') ? AF_INET6 : AF_INET;
  const int bits_max = network.family == AF_INET6 ? 128 : 32;
  network.bits = bits_max;
  const bool address = ::inet_pton(network.family, parts.first.c_str(), network.bytes) == 1;
  const bool has_bits = absl::StrContains(text, '/');
  if (!address || (has_bits && !absl::SimpleAtoi(parts.second, &network.bits)) ||
      network.bits < 0 || network.bits > bits_max) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(text), " is no network: expected such as 10.235.0.0/24 or fd00::/8"));
  }
  return network;
}

bool InNetwork(const std::string& address, const Network& network) {
  unsigned char bytes[sizeof(in6_addr)] = {};
  if (::inet_pton(network.family, address.c_str(), bytes) != 1) return false;
  return SameBits(bytes, network.bytes, network.bits);
}

}  // namespace

absl::StatusOr<AddressGuard> MakeGuard(absl::Span<const std::string> networks) {
  std::vector<Network> allowed;
  for (const std::string& text : networks) {
    FLEET_ASSIGN_OR_RETURN(const Network network, ParseNetwork(text));
    allowed.push_back(network);
  }
  return AddressGuard([allowed](const std::string& address, int port) {
    for (const Network& network : allowed) {
      if (InNetwork(address, network)) return std::string();
    }
    return RefusePrivateAddress(address, port);
  });
}

std::string RefusePrivateAddress(const std::string& address, int) {
  unsigned char bytes[sizeof(in6_addr)] = {};
  std::string block = "no numeric";
  if (::inet_pton(AF_INET, address.c_str(), bytes) == 1) {
    block = BlockOf4(bytes);
  } else if (::inet_pton(AF_INET6, address.c_str(), bytes) == 1) {
    block = BlockOf6(bytes);
  }
  if (block.empty()) return "";
  return absl::StrCat(Quote(address), " is a ", block, " address, which is not allowed here");
}

}  // namespace fleet::probe
