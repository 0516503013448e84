#include "collector/probes/schedule.h"

#include <algorithm>
#include <cmath>

namespace fleet::collector {

absl::Duration ProbeSchedule::LateMax(absl::Duration period) {
  return std::max(period / 4, absl::Seconds(1));
}

double ProbeSchedule::Fraction() {
  // The golden ratio: every next one falls into the widest gap.
  fraction_ = std::fmod(fraction_ + 0.6180339887498949, 1.0);
  return fraction_;
}

void ProbeSchedule::Place(const Key& key, Entry& entry, SteadyTime turn, bool exact) {
  queue_.erase({entry.due, key});
  entry.turn = turn;
  entry.due = turn;
  if (!exact) {
    const absl::Duration most = std::min(entry.period * kJitter, kJitterMax);
    const double share = std::uniform_real_distribution<double>(-1, 1)(random_);
    entry.due = SteadyAfter(turn, most * share);
  }
  queue_.insert({entry.due, key});
}

void ProbeSchedule::Add(const Key& key, absl::Duration period, bool at_once, SteadyTime now) {
  const auto [found, added] = entries_.try_emplace(key);
  Entry& entry = found->second;
  if (!added && entry.period == period) return;
  entry.period = period;
  entry.spread = !at_once;
  const absl::Duration within = std::min(kFirstWithin, period);
  Place(key, entry, at_once ? now : SteadyAfter(now, within * Fraction()), true);
}

void ProbeSchedule::Remove(const Key& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  queue_.erase({found->second.due, key});
  entries_.erase(found);
}

void ProbeSchedule::Hurry(const Key& key, SteadyTime when) {
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.due <= when) return;
  Set(key, when);
}

void ProbeSchedule::Set(const Key& key, SteadyTime when) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  found->second.spread = false;
  Place(key, found->second, when, true);
}

std::vector<ProbeSchedule::Due> ProbeSchedule::TakeDue(SteadyTime now) {
  std::vector<Due> due;
  while (!queue_.empty() && queue_.begin()->first <= now) {
    const Key key = queue_.begin()->second;
    Entry& entry = entries_.at(key);
    const absl::Duration lag = now - entry.due;
    if (lag <= LateMax(entry.period)) {
      due.push_back({key, lag});
    } else {
      ++missed_;
    }
    SteadyTime turn = SteadyAfter(entry.turn, entry.period);
    if (entry.spread) {
      entry.spread = false;
      turn = SteadyAfter(entry.turn, entry.period * (0.5 + 0.5 * Fraction()));
    }
    // Turns that are over are not made up for; its place in the period stays.
    const SteadyTime earliest = SteadyAfter(now, entry.period / 4);
    if (turn < earliest) {
      const double behind = absl::FDivDuration(earliest - turn, entry.period);
      turn = SteadyAfter(turn, entry.period * std::ceil(behind));
    }
    Place(key, entry, turn, false);
  }
  return due;
}

std::optional<SteadyTime> ProbeSchedule::next() const {
  if (queue_.empty()) return std::nullopt;
  SteadyTime latest = SteadyAfter(queue_.begin()->first, kSlackMax);
  for (const auto& [due, key] : queue_) {
    if (due >= latest) break;
    const absl::Duration slack = std::min(entries_.at(key).period * kSlack, kSlackMax);
    latest = std::min(latest, SteadyAfter(due, slack));
  }
  return latest;
}

std::optional<SteadyTime> ProbeSchedule::NextOf(const Key& key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  return found->second.due;
}

}  // namespace fleet::collector
