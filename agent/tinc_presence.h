#pragma once

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "agent/host_fs.h"
#include "agent/options.h"
#include "agent/tinc_net.h"

namespace fleet::agent {

/// Who is on a VPN, as the hook's file tells it.
struct TincPresence {
  /// Whether `nodes` is everybody: the hook saw all that happened since tincd started.
  bool complete = false;
  /// Why it is not, and the line to run.
  std::string why_blind;
  std::set<std::string> nodes;
  /// Where a node connected from, for those present.
  std::map<std::string, std::string> addresses;
};

/// What is older than tincd's start is void: a killed tincd runs no host-down.
TincPresence ReadTincPresence(const HostFs& fs, const TincOptions& options, const TincNet& net,
                              const TincDaemon& daemon);

/// Where the hook's file is, below the host's root.
std::string TincHookStatePath(const TincOptions& options);

/// The user that this process runs as, for lines that grant a right.
std::string OurUserName();

}  // namespace fleet::agent
