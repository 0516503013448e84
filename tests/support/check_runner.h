#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/check.h"
#include "agent/checks/checks.h"
#include "common/report.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// What one run of a check left behind.
struct CheckResult {
  absl::Status status;
  Report report;
  /// Samples as exposition lines, in order.
  std::vector<std::string> lines() const { return ExpositionLines(report.samples); }
  /// Items as "name verdict[:kind] reason".
  std::vector<std::string> items() const;
  /// The worst of the items and of what the check raised.
  Verdict verdict() const;
  /// The value of the one sample whose exposition line starts with `series` and a blank.
  /// Aborts when there is none.
  double value(absl::string_view series) const;
};

/// Runs checks as the runner does, with a memory and a clock that last as long as it does.
class CheckRunner {
 public:
  explicit CheckRunner(const agent::HostFs& fs)
      : env_{.fs = fs, .options = {}, .program = {}, .data_dir = {}} {}

  agent::CheckEnv& env() { return env_; }
  agent::CheckOptions& options() { return env_.options; }
  FakeClock& clock() { return clock_; }
  agent::CheckMemory& memory() { return memory_; }

  /// The clock whose time the check sees; the fake one unless a test needs real deadlines.
  void UseRealClock() { used_ = &Clock::Real(); }
  void set_expected(bool expected) { expected_ = expected; }
  void set_deadline(absl::Duration deadline) { deadline_ = deadline; }

  CheckResult Run(agent::Check& check);
  /// Makes the check, runs it once and forgets it; memory stays.
  CheckResult Run(std::unique_ptr<agent::Check> (*make)(const agent::CheckEnv&));

 private:
  agent::CheckEnv env_;
  FakeClock clock_;
  Clock* used_ = &clock_;
  agent::CheckMemory memory_;
  bool expected_ = false;
  absl::Duration deadline_ = absl::Seconds(5);
};

}  // namespace fleet::test
