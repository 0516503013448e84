#pragma once

#include <algorithm>

#include "absl/time/time.h"

namespace fleet::collector {

/// How long a report of something due every `interval` speaks for now. An interval of more than a
/// day is taken for a day: it comes from the agent.
inline absl::Duration FreshFor(absl::Duration interval) {
  return std::max(3 * std::min(interval, absl::Hours(24)), absl::Seconds(45));
}

}  // namespace fleet::collector
