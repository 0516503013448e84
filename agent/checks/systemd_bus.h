#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/host_fs.h"
#include "common/clock.h"

namespace fleet::agent {

/// What systemd says of one unit that is worth a look.
struct SystemdUnit {
  std::string name;
  std::string load;    // "loaded", "not-found", "masked", …
  std::string active;  // "active", "failed", "inactive", "activating", "deactivating", …
  std::string sub;     // "running", "auto-restart", "dead", …
  std::string type;    // of a service: "simple", "oneshot", …
  std::string result;  // of a failed service: "exit-code", "oom-kill", …; else empty
  absl::Time changed = absl::InfinitePast();  // when it came into this state
};

/// How often systemd restarted a service by itself since it was last started by hand.
struct SystemdRestarts {
  std::string name;
  uint32_t count = 0;
  bool waiting = false;  // it died and waits for its next start: state auto-restart
  bool operator==(const SystemdRestarts&) const = default;
};

struct SystemdState {
  std::string system_state;  // "running", "degraded", "starting", "maintenance", …
  std::string version;       // "252.39-1~deb12u2"
  uint32_t services_active = 0;
  std::vector<SystemdUnit> failed;
  std::vector<SystemdUnit> required;      // in the order asked for
  std::vector<SystemdRestarts> restarts;  // services with any; as of the last scan
};

/// Asks systemd. Not thread-safe; keeps its connection between calls.
class SystemdReader {
 public:
  virtual ~SystemdReader() = default;

  /// One look. Errors: kUnavailable when nothing answers or the other end goes away,
  /// kDeadlineExceeded when it does not answer in time, kPermissionDenied, kNotFound without a
  /// socket to ask at.
  virtual absl::StatusOr<SystemdState> Read(absl::Span<const std::string> required,
                                            SteadyTime deadline) = 0;
};

/// Over D-Bus, by the sockets below the host's root: the system bus, which takes anyone, or
/// systemd's own (root only). Restarts are read at most every half a minute, a few services at a
/// time beside those that are restarting just then: each costs a round trip.
std::unique_ptr<SystemdReader> MakeSystemdBus(const HostFs& fs, Clock& clock);

}  // namespace fleet::agent
