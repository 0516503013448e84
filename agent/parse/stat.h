#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::agent {

/// Columns of a `cpu` line, in the kernel's order.
enum class CpuMode : uint8_t {
  kUser,
  kNice,
  kSystem,
  kIdle,
  kIowait,
  kIrq,
  kSoftirq,
  kSteal,
  kGuest,
  kGuestNice,
};
inline constexpr size_t kCpuModes = 10;

/// What one CPU did since boot, in ticks of 1/100 s whatever the kernel's own HZ. `user` includes
/// `guest`, `nice` includes `guest_nice`.
struct CpuTicks {
  uint32_t cpu = 0;
  std::array<uint64_t, kCpuModes> ticks = {};
  uint64_t operator[](CpuMode mode) const { return ticks[static_cast<size_t>(mode)]; }
  bool operator==(const CpuTicks&) const = default;
};

struct Stat {
  CpuTicks all;                // the sum; its `cpu` is 0
  std::vector<CpuTicks> cpus;  // online ones only
  uint64_t interrupts = 0;
  uint64_t context_switches = 0;
  uint64_t forks = 0;
  uint64_t procs_running = 0;
  uint64_t procs_blocked = 0;
  absl::Time boot;
};

/// Parses /proc/stat, such as
///   cpu0 9175 832 3661 134018 106 0 11 273 0 0
///   intr 304745 0 0 …
///   btime 1795458289
/// Columns that an older kernel lacks stay 0, further ones and unknown lines are skipped.
///
/// Errors: kInvalidArgument for a known line that does not parse, no `cpu` line at all, or more
/// than 8,192 CPUs. Source: proc_stat(5)
absl::StatusOr<Stat> ParseStat(absl::string_view text);

/// Counts the CPUs of a list such as "0-3,8". Errors: kInvalidArgument for anything else.
/// Source: https://docs.kernel.org/admin-guide/cputopology.html
absl::StatusOr<int> CountCpuList(absl::string_view text);

}  // namespace fleet::agent
