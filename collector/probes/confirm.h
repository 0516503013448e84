#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/probe/probe.h"

namespace fleet::collector {

/// What one look says of its target. A blind one says nothing.
enum class LookKind { kUp, kDown, kBlind };

struct ConfirmLook {
  std::string vantage;
  probe::IpFamily family = probe::IpFamily::kAny;
  LookKind kind = LookKind::kUp;
  absl::Time time;  // its start
  std::string error;
};

struct ConfirmRule {
  absl::Duration period = absl::Seconds(60);
  int looks = 3;          // in total, until a change is believed
  int vantages_down = 0;  // how many must see it fail; 0: two; never more than can see
};

/// What a look has changed.
enum class Turn { kNone, kDown, kUp, kStillDown };

struct Turned {
  Turn turn = Turn::kNone;
  absl::Time at;      // kDown: the first failure; kUp: the first success of those that confirm
  std::string error;  // kDown: what the look said that confirmed it
};

/// Believes a change only when it was seen `looks` times, over a period, by as many vantages as it
/// takes: so what is shorter than a period is no downtime. Down: `vantages_down` vantages fail at
/// the same time. Up again: two vantages (the only one, where there is but one) see it work, and
/// fewer than it takes see it fail. A vantage fails when one of its address families does. Looks
/// that are blind neither confirm nor recover; a lane without another look for Horizon() is not
/// counted. Pure but for what it remembers. Not thread-safe.
class Confirmation {
 public:
  static constexpr int kRecent = 3;        // the most looks that a rule may ask for
  static constexpr int kStillDown = 60;    // failing looks of a downtime, then a reminder
  static constexpr size_t kLanesMax = 64;  // vantages × families; more are not listened to

  /// One family as one vantage sees it: how long it has been the way it is.
  struct Lane {
    bool down = false;
    absl::Time started = absl::InfinitePast();  // of the streak
    absl::Time last = absl::InfinitePast();     // look that said something
    int streak = 0;
    std::vector<absl::Time> recent;  // of the streak, oldest first, at most kRecent
    std::string error;
    std::string blind;                           // why the newest look said nothing
    absl::Time blind_at = absl::InfinitePast();  // when
  };
  using Lanes = std::map<std::pair<std::string, probe::IpFamily>, Lane>;

  struct Memory {
    bool down = false;
    absl::Time since = absl::InfinitePast();  // down or up; InfinitePast: never seen up
    bool saw_full = false;                    // all families failed at a time
    int failing_looks = 0;                    // since it is down
    Lanes lanes;
  };

  Turned Look(const ConfirmLook& look, const ConfirmRule& rule);
  /// Forgets what one vantage saw: it looks no more.
  void Forget(const std::string& vantage) {
    std::erase_if(memory_.lanes, [&](const auto& lane) { return lane.first.first == vantage; });
  }
  /// Forgets everything: the probe is asked something else now.
  void Reset() { memory_ = {}; }

  bool down() const { return memory_.down; }
  absl::Time since() const { return memory_.since; }
  /// While it is down or was until just now: whether only some family failed.
  bool partial() const { return !memory_.saw_full; }
  /// Whether a change is to be confirmed, so that the next look should come at half the period.
  bool hurried(const ConfirmRule& rule) const;
  /// What is wrong right now, by the newest failing look; empty: nothing.
  std::string error() const;
  /// Why nobody sees anything; empty when somebody does.
  std::string blind(const ConfirmRule& rule, absl::Time now) const;
  int failing_vantages(const ConfirmRule& rule, absl::Time now) const;
  int seeing_vantages(const ConfirmRule& rule, absl::Time now) const;

  const Memory& memory() const { return memory_; }
  void Restore(Memory memory) { memory_ = std::move(memory); }
  /// What it is to believe, whatever was seen; what is up starts anew.
  void SetDown(bool down, absl::Time since) {
    if (!down) memory_.lanes.clear();
    memory_.down = down;
    memory_.since = since;
  }

  static absl::Duration Horizon(const ConfirmRule& rule);

 private:
  struct Side;  // vantages of one opinion

  bool Take(const ConfirmLook& look, const ConfirmRule& rule);
  Side Failing(const ConfirmRule& rule, absl::Time now) const;
  Side Passing(const ConfirmRule& rule, absl::Time now) const;
  bool SeesFull(const ConfirmRule& rule, absl::Time now) const;

  Memory memory_;
};

}  // namespace fleet::collector
