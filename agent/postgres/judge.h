#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/check.h"
#include "agent/options.h"
#include "agent/postgres/answers.h"
#include "common/report.h"

namespace fleet::agent {

/// Since when something has been bad, over runs and restarts: kept in the check's memory under
/// `prefix`. What was not asked about between two Sweeps is forgotten. Used by one thread.
class PgSince {
 public:
  PgSince(CheckMemory& memory, std::string prefix, absl::Time now)
      : memory_(memory), prefix_(std::move(prefix)), now_(now) {}

  /// How long `what` has been bad by now; zero the first time.
  absl::Duration For(absl::string_view what);
  /// Forgets what no longer is.
  void Sweep();
  absl::Time now() const { return now_; }

 private:
  CheckMemory& memory_;
  const std::string prefix_;
  const absl::Time now_;
  std::set<std::string> seen_;
};

/// What one server's answers mean: first the server itself (empty name; its reason is a summary),
/// then each finding ("connections", "locks", "wraparound DB", …), then every standby and slot.
/// Decides on data alone.
std::vector<Item> JudgePostgres(const PgAnswers& answers, const PostgresOptions& options,
                                PgSince& since);

}  // namespace fleet::agent
