#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "agent/ip_address.h"
#include "agent/options.h"
#include "agent/parse/tinc_control.h"
#include "agent/tinc_net.h"

namespace fleet::agent {

/// Who belongs on a net, by name, and whether it must be up (else it may come and go). As
/// configured; without `options.peers`, what tinc.conf names in ConnectTo must be up, and so must
/// every hosts/ file with an Address (a server's) whose node `has_answered` once; without
/// `options.allowed` too, every other hosts/ file may come and go. Never our own node.
///
/// Names are configured for all nets together: unless this is the `only_net`, hosts/ tells whose.
std::map<std::string, bool> ChooseTincPeers(
    const TincNet& net, const TincOptions& options, bool only_net,
    const std::function<bool(const std::string&)>& has_answered);

/// Where to probe a peer: as configured, else the Subnet of its hosts/ file that names one address,
/// else such a one that tincd 1.1 told (`dump` may be null).
std::optional<IpAddress> TincPeerAddress(const TincNet& net, const TincOptions& options,
                                         const TincDump* dump, const std::string& peer);

}  // namespace fleet::agent
