#include "agent/tinc_roster.h"

namespace fleet::agent {

std::map<std::string, bool> ChooseTincPeers(
    const TincNet& net, const TincOptions& options, bool only_net,
    const std::function<bool(const std::string&)>& has_answered) {
  std::map<std::string, bool> peers;
  const auto ours = [&](const std::string& name) { return only_net || net.hosts.contains(name); };
  for (const TincPeer& peer : options.peers) {
    if (ours(peer.name)) peers[peer.name] = true;
  }
  for (const std::string& name : options.allowed) {
    if (ours(name)) peers.try_emplace(name, false);
  }
  if (options.peers.empty()) {
    for (const std::string& name : net.config.connect_to) peers.try_emplace(name, true);
    for (const auto& [name, host] : net.hosts) {
      // Whether a server of the files still exists shows when it answers once.
      const bool server = !host.addresses.empty() && has_answered(name);
      if (server || options.allowed.empty()) peers.try_emplace(name, server);
    }
  }
  peers.erase(net.name);
  return peers;
}

std::optional<IpAddress> TincPeerAddress(const TincNet& net, const TincOptions& options,
                                         const TincDump* dump, const std::string& peer) {
  for (const TincPeer& entry : options.peers) {
    if (entry.name == peer && !entry.address.empty()) return IpAddress::Parse(entry.address);
  }
  if (const auto host = net.hosts.find(peer); host != net.hosts.end()) {
    for (const TincSubnet& subnet : host->second.subnets) {
      if (subnet.is_host()) return IpAddress::Parse(subnet.address);
    }
  }
  if (dump == nullptr) return std::nullopt;
  for (const TincOwnedSubnet& owned : dump->subnets) {
    const auto subnet = ParseTincSubnet(owned.subnet);
    if (owned.owner == peer && subnet.ok() && subnet->is_host()) {
      return IpAddress::Parse(subnet->address);
    }
  }
  return std::nullopt;
}

}  // namespace fleet::agent
