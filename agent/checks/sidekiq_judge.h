#pragma once

#include <optional>
#include <vector>

#include "agent/options.h"
#include "agent/redis/sidekiq_snapshot.h"
#include "common/clock.h"
#include "common/report.h"

namespace fleet::agent {

/// What must be remembered from run to run.
struct SidekiqHistory {
  std::optional<double> processed;
  SteadyTime processed_changed;
};

/// How long the oldest job of `queue` may wait: the configured limits, else those that suit
/// Mastodon's queue of that name, else latency_warn and latency_crit.
SidekiqQueue SidekiqLimits(absl::string_view queue, const SidekiqOptions& options);

/// How many live, not quiet processes take jobs from `queue`; `quiet` counts the quiet ones.
size_t SidekiqServers(const SidekiqSnapshot& snapshot, absl::string_view queue, size_t& quiet);

/// One item per queue, then "processes", "retry", "schedule" and "dead", named as Redis's keys (a
/// queue of such a name is "queue:NAME").
std::vector<Item> JudgeSidekiq(const SidekiqSnapshot& snapshot, const SidekiqOptions& options,
                               SteadyTime now, SidekiqHistory& history);

}  // namespace fleet::agent
