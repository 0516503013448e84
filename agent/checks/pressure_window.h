#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/kept_file.h"
#include "agent/parse/pressure.h"
#include "common/clock.h"

namespace fleet::agent {

/// Reads a file of proc/pressure. Nothing when this kernel does not account pressure: the file is
/// missing, or reading it gives EOPNOTSUPP (booted with psi=0). Errors: as KeptFile::Read and
/// ParsePressure.
absl::StatusOr<std::optional<Pressure>> ReadPressure(KeptFile& file);

/// A total as node_exporter counts it, in seconds, to the last bit.
inline double PressureSeconds(const PressureLine& line) {
  return static_cast<double>(line.total_us) / 1000.0 / 1000.0;
}

/// What share of the last `window` tasks waited, from the totals of the runs within it: exact,
/// where the kernel's averages decay. Lives in the check and not in CheckMemory: it changes with
/// every run, and memory is written to disk. Until half a window is known (a fresh start, one run
/// of `fleet-agent check`) the kernel's own average answers.
class PressureWindow {
 public:
  explicit PressureWindow(absl::Duration window) : window_(window) {}

  /// Takes one reading and returns the ratio, 0..1.
  double Update(SteadyTime now, const PressureLine& line, double kernel_average);

 private:
  struct Point {
    SteadyTime time;
    uint64_t total_us = 0;
  };
  static constexpr size_t kPointsMax = 32;

  const absl::Duration window_;
  std::array<Point, kPointsMax> points_;
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace fleet::agent
