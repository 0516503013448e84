#pragma once

#include <climits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace fleet::agent {

/// How often a query's answer is worth its cost.
enum class PgPace {
  kRun,     // every run
  kMinute,  // lists a directory
  kSizes,   // stats every file: PostgresOptions::sizes_interval
};

/// One group of facts: one prepared statement. A group whose statement fails disables itself alone.
struct PgQuery {
  absl::string_view name;
  int since;  // first server_version_num it is for: 120000
  int until;  // first that it is no longer for
  PgPace pace;
  bool needs_monitor;  // fails without pg_monitor
  absl::string_view sql;
};

/// Oldest server whose catalogs the queries know.
inline constexpr int kPgVersionMin = 110000;

/// Every group for every version, in the order to run them: `locks` first, so that the locks our
/// own later groups take in the same batch are not counted.
absl::Span<const PgQuery> AllPgQueries();

/// Those for one server: at most one per name. Pure.
std::vector<const PgQuery*> PgQueriesFor(int server_version);

/// Asked only when `sessions` shows somebody waiting for a lock: who waits longest, since when, and
/// who stands in the way. Bounded: pg_blocking_pids takes every lock partition.
std::string PgBlockedSql(int server_version);

/// Asked only when a limit is exceeded: the oldest transaction (`kind` "transaction") and the
/// longest idle in one (`kind` "idle").
absl::string_view PgSessionsSql();

/// Asked in each database now and then: its dead rows and the table that has the most.
absl::string_view PgTablesSql();

}  // namespace fleet::agent
