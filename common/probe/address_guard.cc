#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/probe/probe.h"

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

bool InBlock(const unsigned char* address, int family, const Block& block) {
  unsigned char network[sizeof(in6_addr)] = {};
  if (::inet_pton(family, block.network, network) != 1) return false;
  const auto bytes = static_cast<size_t>(block.bits / 8);
  if (std::memcmp(address, network, bytes) != 0) return false;
  const int rest = block.bits % 8;
  if (rest == 0) return true;
  const int mask = 0xff << (8 - rest) & 0xff;
  return (address[bytes] & mask) == (network[bytes] & mask);
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

}  // namespace

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
