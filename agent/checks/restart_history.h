#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/check.h"
#include "agent/checks/systemd_bus.h"

namespace fleet::agent {

/// A service that systemd keeps restarting.
struct CrashLoop {
  std::string name;
  uint32_t restarts = 0;  // since it was last started by hand
  absl::Time noticed;     // the newest of them
  bool operator==(const CrashLoop&) const = default;
};

/// From so many restarts within kCrashLoopSpan on, it is a loop.
inline constexpr uint32_t kCrashLoopRestarts = 3;
inline constexpr absl::Duration kCrashLoopSpan = absl::Minutes(10);

/// Compares each service's counter with those remembered under "restarts/NAME" and returns the
/// loops, by name. A count that fell was reset: the service was started by hand. Of restarts before
/// the first look ever nobody knows when they were; they count as recent when the service is
/// waiting for yet another. What stopped restarting is forgotten after kCrashLoopSpan. Writes to
/// memory only when a counter changed.
std::vector<CrashLoop> NoteRestarts(CheckMemory& memory, absl::Span<const SystemdRestarts> services,
                                    absl::Time now);

}  // namespace fleet::agent
