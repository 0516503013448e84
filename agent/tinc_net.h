#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/host_fs.h"
#include "agent/options.h"
#include "agent/parse/tinc_config.h"

namespace fleet::agent {

/// One VPN as /etc/tinc describes it.
struct TincNet {
  std::string net;                          // "chitter"
  std::string name;                         // our own node's
  std::string interface;                    // "chitter" unless tinc.conf says otherwise
  TincConfig config;                        // tinc.conf
  TincConfig own;                           // our own hosts/ file
  std::map<std::string, TincConfig> hosts;  // every other hosts/ file that can be read, by node
  std::vector<std::string> problems;        // one line per file that cannot be read or parsed
};

/// The nets to look at: `options.net`, or every directory of /etc/tinc with a tinc.conf. Sorted.
std::vector<std::string> TincNetNames(const HostFs& fs, const TincOptions& options);
/// The same for whoever has listed /etc/tinc.
std::vector<std::string> TincNetNames(const HostFs& fs, const TincOptions& options,
                                      const std::vector<std::string>& listed);

/// Reads tinc.conf and hosts/. Errors: HostFs's for tinc.conf, kInvalidArgument for its contents.
absl::StatusOr<TincNet> ReadTincNet(const HostFs& fs, absl::string_view net);

/// The tincd of one net.
struct TincDaemon {
  enum class State {
    kRunning,
    kDead,    // no pid file, or none of its processes
    kHidden,  // the pid file cannot be read (1.1 keeps it to root), so nobody knows
  };
  State state = State::kDead;
  TincPid pid;
  std::string problem;                   // what is wrong; empty when running
  absl::Duration started;                // since boot; only when running
  std::optional<absl::Time> start_time;  // by the wall clock
};

/// Reads /run/tinc.NET.pid and the process it names, which must be a tincd.
TincDaemon ReadTincDaemon(const HostFs& fs, absl::string_view net);

/// Whether somebody wants NET to run: its unit is enabled, or nets.boot names it.
bool IsTincNetEnabled(const HostFs& fs, absl::string_view net);

}  // namespace fleet::agent
