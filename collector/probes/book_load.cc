// What a book knows when it begins.
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/probes/book.h"
#include "collector/probes/probe_metrics.h"
#include "collector/probes/probe_spec.h"
#include "common/log.h"
#include "common/status_macros.h"

namespace fleet::collector {

absl::Status ProbeBook::Load() {
  FLEET_ASSIGN_OR_RETURN(std::vector<ProbeCheck> from_api, store_->Checks());
  FLEET_ASSIGN_OR_RETURN(auto known, store_->Known());
  FLEET_ASSIGN_OR_RETURN(auto states, store_->States());
  const absl::Time now = parts_.clock.Now();
  FLEET_ASSIGN_OR_RETURN(const std::vector<Downtime> downtimes,
                         store_->DowntimesSince(now - kUptimeSpan));
  std::map<std::string, KnownProbe> added;
  for (ProbeCheck& check : from_config_) {
    KnownProbe& fixed = known[check.token];
    if (fixed.pulse_key.empty()) {
      fixed = {MakePulseKey(), now};
      added.emplace(check.token, fixed);
    }
    check.created_at = fixed.created_at;
    if (check.pulse_key.empty()) check.pulse_key = fixed.pulse_key;
  }
  if (!added.empty()) FLEET_RETURN_IF_ERROR(store_->PutKnown(added));
  std::vector<std::pair<std::string, CountRow>> counts;
  FLEET_RETURN_IF_ERROR(store_->Counts("", HourOf(now) - absl::Hours(ProbeEntry::kHoursKept),
                                       absl::FromUnixSeconds(4'000'000'000),
                                       [&counts](const std::string& token, const CountRow& row) {
                                         counts.emplace_back(token, row);
                                       }));
  const ProbeBatch ended = Fill(std::move(from_api), states, downtimes);
  // The store's lock comes before ours.
  if (!ended.empty()) FLEET_RETURN_IF_ERROR(store_->Commit(ended));
  MutexLock lock(mutex_);
  for (const auto& [token, row] : counts) {
    const auto found = entries_.find(token);
    if (found != entries_.end()) found->second.Count(row.start, row.metrics);
  }
  return absl::OkStatus();
}

/// Makes the entries from what the database knows. Returns the downtimes that end by that.
ProbeBatch ProbeBook::Fill(std::vector<ProbeCheck> from_api,
                           const std::map<std::string, v1::StoredState>& states,
                           const std::vector<Downtime>& downtimes) {
  ProbeBatch ended;
  MutexLock lock(mutex_);
  for (ProbeCheck& check : from_config_) AddEntry(std::move(check));
  from_config_.clear();
  for (ProbeCheck& check : from_api) {
    if (entries_.count(check.token) > 0) {
      log::Warning("a check of the API has the token of one of the config, which wins",
                   {{"token", check.token}, {"url", check.url}});
      continue;
    }
    for (const ProbeProblem& problem : DeriveSpec(check)) {
      log::Warning("a check of the API is no longer right",
                   {{"token", check.token}, {"problem", ApiMessage(problem)}});
    }
    check.spec.guard = api_guard_;
    AddEntry(std::move(check));
  }
  for (auto& [token, entry] : entries_) {
    if (const auto state = states.find(token); state != states.end()) entry.Restore(state->second);
  }
  for (const Downtime& downtime : downtimes) LoadDowntime(downtime, states, ended);
  for (auto& [token, entry] : entries_) {
    // A downtime and the state that goes with it are written together; a notice has the state
    // alone.
    if (entry.confirmation.down() != entry.open.has_value() && entry.check->notice.empty()) {
      entry.confirmation.SetDown(entry.open.has_value(), entry.open.has_value()
                                                             ? entry.open->started_at
                                                             : absl::InfinitePast());
    }
  }
  for (const std::string& token : order_) {
    const ProbeEntry& entry = entries_.at(token);
    Schedule(*entry.check, false, SilenceLeft(entry));
  }
  return ended;
}

/// After a restart a pulse has what was left of its period when the collector went, for it could
/// not be heard since; nothing when it was overdue then. One that is down is called missed already.
std::optional<absl::Duration> ProbeBook::SilenceLeft(const ProbeEntry& entry) const {
  if (!entry.IsPulse() || entry.last_pulse == absl::InfinitePast()) return std::nullopt;
  if (entry.known_until == absl::InfinitePast() || entry.confirmation.down()) return std::nullopt;
  const absl::Duration left = entry.last_pulse + entry.check->period - entry.known_until;
  return std::clamp(left, absl::ZeroDuration(), entry.check->period);
}

/// What is no longer looked at, or known to fail now, is not down: it ends with its last look.
void ProbeBook::LoadDowntime(const Downtime& downtime,
                             const std::map<std::string, v1::StoredState>& states,
                             ProbeBatch& ended) {
  const auto found = entries_.find(downtime.token);
  const bool goes_on = found != entries_.end() && found->second.check->enabled &&
                       found->second.check->notice.empty();
  Downtime loaded = downtime;
  if (!downtime.ended_at.has_value() && !goes_on) {
    const auto state = states.find(downtime.token);
    loaded.ended_at = state == states.end() || state->second.last_check() == 0
                          ? parts_.clock.Now()
                          : absl::FromUnixMicros(state->second.last_check());
    loaded.ended_at = std::max(*loaded.ended_at, loaded.started_at);
    loaded.partial = state != states.end() && !state->second.saw_full();
    ended.downtimes[loaded.id] = loaded;
  }
  if (found == entries_.end()) return;
  ProbeEntry& entry = found->second;
  entry.downs.push_back({loaded.started_at, loaded.ended_at.value_or(absl::InfiniteFuture())});
  if (!loaded.ended_at.has_value()) entry.open = entry.shown = loaded;
}

}  // namespace fleet::collector
