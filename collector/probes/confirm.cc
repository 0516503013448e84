#include "collector/probes/confirm.h"

#include <algorithm>
#include <set>

namespace fleet::collector {
namespace {

// Looks are a little early or late.
constexpr double kSpanShare = 0.95;

bool Sees(const Confirmation::Lane& lane, const ConfirmRule& rule, absl::Time now) {
  return lane.streak > 0 && now - lane.last <= Confirmation::Horizon(rule);
}

}  // namespace

/// Vantages that see it fail, or work: since when, and the newest looks that say so.
struct Confirmation::Side {
  struct Member {
    absl::Time started;
    std::vector<absl::Time> recent;
  };
  std::vector<Member> members;

  /// Since when at least `need` have been of that opinion, when that was seen often enough and for
  /// long enough until `now`.
  std::optional<absl::Time> Since(size_t need, const ConfirmRule& rule, absl::Time now) const {
    if (members.size() < need || need == 0) return std::nullopt;
    std::vector<absl::Time> starts;
    for (const Member& member : members) starts.push_back(member.started);
    std::sort(starts.begin(), starts.end());
    // Vantages look one after the other, so the first of them saw it up to a period earlier. One
    // that has been alone with its opinion for longer does not tell when it began for all.
    const absl::Time earliest = starts[need - 1] - rule.period;
    const absl::Time begin = *std::lower_bound(starts.begin(), starts.end(), earliest);
    int looks = 0;
    for (const Member& member : members) {
      looks += static_cast<int>(std::count_if(member.recent.begin(), member.recent.end(),
                                              [begin](absl::Time t) { return t >= begin; }));
    }
    if (looks < rule.looks) return std::nullopt;
    if (rule.looks > 1 && now - begin < rule.period * kSpanShare) return std::nullopt;
    return begin;
  }
};

absl::Duration Confirmation::Horizon(const ConfirmRule& rule) {
  return std::max(3 * rule.period, absl::Seconds(45));
}

/// Notes the look in its lane. False when it changes nothing.
bool Confirmation::Take(const ConfirmLook& look, const ConfirmRule& rule) {
  const std::pair key(look.vantage, look.family);
  if (memory_.lanes.size() >= kLanesMax && memory_.lanes.count(key) == 0) return false;
  Lane& lane = memory_.lanes[key];
  if (look.kind == LookKind::kBlind) {
    lane.blind = look.error;
    lane.blind_at = look.time;
    return false;
  }
  lane.blind.clear();
  const bool down = look.kind == LookKind::kDown;
  if (lane.streak > 0) {
    const absl::Duration gap = look.time - lane.last;
    if (gap <= absl::ZeroDuration() && gap > -Horizon(rule)) return false;  // it came late
    // After a gap nothing is known of the time between; a far step back is a clock that was set.
    if (lane.down != down || gap > Horizon(rule) || gap < absl::ZeroDuration()) lane.streak = 0;
  }
  if (lane.streak == 0) {
    lane.started = look.time;
    lane.recent.clear();
  }
  lane.down = down;
  lane.last = look.time;
  lane.error = down ? look.error : "";
  ++lane.streak;
  lane.recent.push_back(look.time);
  if (lane.recent.size() > kRecent) lane.recent.erase(lane.recent.begin());
  return true;
}

Confirmation::Side Confirmation::Failing(const ConfirmRule& rule, absl::Time now) const {
  Side side;
  const std::string* vantage = nullptr;
  // The map is sorted by vantage; of its families the one that has failed the longest counts.
  for (const auto& [key, lane] : memory_.lanes) {
    if (!lane.down || !Sees(lane, rule, now)) continue;
    if (vantage == nullptr || *vantage != key.first) {
      vantage = &key.first;
      side.members.push_back({lane.started, lane.recent});
    } else if (lane.started < side.members.back().started) {
      side.members.back() = {lane.started, lane.recent};
    }
  }
  return side;
}

Confirmation::Side Confirmation::Passing(const ConfirmRule& rule, absl::Time now) const {
  Side side;
  std::map<std::string, std::optional<Side::Member>> by_vantage;  // none: a family fails
  for (const auto& [key, lane] : memory_.lanes) {
    if (!Sees(lane, rule, now)) continue;
    const auto [found, added] = by_vantage.try_emplace(key.first);
    if (lane.down) {
      found->second.reset();
    } else if (added || (found->second.has_value() && lane.started > found->second->started)) {
      found->second = {lane.started, lane.recent};
    }
  }
  for (const auto& [vantage, member] : by_vantage) {
    if (member.has_value()) side.members.push_back(*member);
  }
  return side;
}

bool Confirmation::SeesFull(const ConfirmRule& rule, absl::Time now) const {
  std::map<std::string, bool> full;
  for (const auto& [key, lane] : memory_.lanes) {
    if (!Sees(lane, rule, now)) continue;
    const auto [found, added] = full.try_emplace(key.first, lane.down);
    if (!added) found->second = found->second && lane.down;
  }
  return std::any_of(full.begin(), full.end(), [](const auto& entry) { return entry.second; });
}

Turned Confirmation::Look(const ConfirmLook& look, const ConfirmRule& rule) {
  Turned turned;
  if (!Take(look, rule)) return turned;
  const absl::Time now = look.time;
  const Side failing = Failing(rule, now);
  const Side passing = Passing(rule, now);
  const size_t seeing = static_cast<size_t>(seeing_vantages(rule, now));
  const size_t wanted = rule.vantages_down > 0 ? static_cast<size_t>(rule.vantages_down) : 2;
  const size_t need_down = std::min(wanted, seeing);
  if (!memory_.down) {
    if (look.kind == LookKind::kUp && memory_.since == absl::InfinitePast()) memory_.since = now;
    const std::optional<absl::Time> began = failing.Since(need_down, rule, now);
    if (!began.has_value() || look.kind != LookKind::kDown) return turned;
    memory_.down = true;
    memory_.since = *began;
    memory_.failing_looks = 0;
    memory_.saw_full = SeesFull(rule, now);
    return {Turn::kDown, *began, look.error};
  }
  if (SeesFull(rule, now)) memory_.saw_full = true;
  if (look.kind == LookKind::kDown) {
    if (++memory_.failing_looks == kStillDown) turned.turn = Turn::kStillDown;
    return turned;
  }
  const size_t need_up = std::max(seeing - need_down + 1, std::min<size_t>(2, seeing));
  const std::optional<absl::Time> ended = passing.Since(need_up, rule, now);
  if (!ended.has_value()) return turned;
  memory_.down = false;
  memory_.since = std::max(*ended, memory_.since);
  return {Turn::kUp, memory_.since, ""};
}

bool Confirmation::hurried(const ConfirmRule& rule) const {
  absl::Time now = absl::InfinitePast();
  for (const auto& [key, lane] : memory_.lanes) now = std::max(now, lane.last);
  return std::any_of(memory_.lanes.begin(), memory_.lanes.end(), [&](const auto& entry) {
    const Lane& lane = entry.second;
    return lane.down != memory_.down && lane.streak < rule.looks && Sees(lane, rule, now);
  });
}

std::string Confirmation::error() const {
  const Lane* newest = nullptr;
  for (const auto& [key, lane] : memory_.lanes) {
    if (lane.down && (newest == nullptr || lane.last > newest->last)) newest = &lane;
  }
  return newest == nullptr ? "" : newest->error;
}

std::string Confirmation::blind(const ConfirmRule& rule, absl::Time now) const {
  const Lane* newest = nullptr;
  for (const auto& [key, lane] : memory_.lanes) {
    // A family that this machine cannot use is no news while another one works.
    if (lane.blind.empty() && Sees(lane, rule, now)) return "";
    if (!lane.blind.empty() && (newest == nullptr || lane.blind_at > newest->blind_at)) {
      newest = &lane;
    }
  }
  return newest == nullptr ? "" : newest->blind;
}

int Confirmation::failing_vantages(const ConfirmRule& rule, absl::Time now) const {
  return static_cast<int>(Failing(rule, now).members.size());
}

int Confirmation::seeing_vantages(const ConfirmRule& rule, absl::Time now) const {
  std::set<std::string> seeing;
  for (const auto& [key, lane] : memory_.lanes) {
    if (Sees(lane, rule, now)) seeing.insert(key.first);
  }
  return static_cast<int>(seeing.size());
}

}  // namespace fleet::collector
