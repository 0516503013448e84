#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/probe/probe.h"

namespace fleet::collector {

/// When who looks. Starts are spread over the period, each a little off so that what others do at
/// the full minute is not met each time; whoever is too late, as after a pause of the machine,
/// waits for its next turn instead of all looking at once. Pure but for what it remembers, and
/// random only by `seed`. Not thread-safe.
class ProbeSchedule {
 public:
  using Key = std::pair<std::string, probe::IpFamily>;  // token, family

  static constexpr absl::Duration kFirstWithin = absl::Seconds(10);
  static constexpr double kJitter = 0.02;  // of the period, to both sides
  static constexpr absl::Duration kJitterMax = absl::Milliseconds(500);
  /// How late a look may begin, of its period and at most, so that those that are due soon begin
  /// together: waking up costs as much as looking.
  static constexpr double kSlack = 0.02;
  static constexpr absl::Duration kSlackMax = absl::Milliseconds(100);

  struct Due {
    Key key;
    absl::Duration lag;  // behind its time
  };

  explicit ProbeSchedule(uint64_t seed) : random_(seed) {}

  /// Adds a look each `period`. The first: at once, or spread over the first seconds and then over
  /// the period. A key that is there keeps its time unless the period is another.
  void Add(const Key& key, absl::Duration period, bool at_once, SteadyTime now);
  void Remove(const Key& key);
  /// The next one at `when`, if that is earlier; from there on each period.
  void Hurry(const Key& key, SteadyTime when);
  /// The next one at `when`, whatever it was.
  void Set(const Key& key, SteadyTime when);

  /// Those whose time has come, each with its next time set.
  std::vector<Due> TakeDue(SteadyTime now);
  /// When to take those that are due: as late as their slacks allow.
  std::optional<SteadyTime> next() const;
  std::optional<SteadyTime> NextOf(const Key& key) const;
  uint64_t missed() const { return missed_; }  // turns that came too late
  size_t size() const { return entries_.size(); }

  /// How late one may be and still look.
  static absl::Duration LateMax(absl::Duration period);

 private:
  struct Entry {
    absl::Duration period;
    SteadyTime turn;  // without jitter
    SteadyTime due;
    bool spread = false;  // the turn after this one gets its place in the period
  };

  void Place(const Key& key, Entry& entry, SteadyTime turn, bool exact);
  double Fraction();  // of [0, 1), evenly spread however many are asked for

  std::mt19937_64 random_;
  double fraction_ = 0;
  std::map<Key, Entry> entries_;
  std::set<std::pair<SteadyTime, Key>> queue_;
  uint64_t missed_ = 0;
};

}  // namespace fleet::collector
