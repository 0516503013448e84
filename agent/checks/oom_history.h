#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/check.h"

namespace fleet::agent {

/// What the kernel's counter of OOM kills says together with what was remembered of it.
struct OomKills {
  uint64_t since_boot = 0;
  uint64_t recent = 0;      // noticed within kOomRecent
  absl::Time last_noticed;  // the newest of them
};

inline constexpr absl::Duration kOomRecent = absl::Hours(1);

/// Compares the counter with the one remembered under "oom" and keeps what is new. `boot` tells
/// boots apart (boot_id); a counter that fell is a new boot too. Kills of before the first look
/// ever count as recent only when the machine has not been up for longer than that, for nobody
/// knows when they were. Kills between two runs of the agent count from when they are noticed:
/// nobody was told of them yet. Writes to memory only when something happened.
OomKills NoteOomKills(CheckMemory& memory, absl::string_view boot, absl::Duration uptime,
                      uint64_t count, absl::Time now);

}  // namespace fleet::agent
