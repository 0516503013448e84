#include "agent/checks/raid_judge.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

/// How many members a level may lose; nothing when that depends on which.
std::optional<int> Survives(absl::string_view level) {
  if (level == "raid0" || level == "linear") return 0;
  if (level == "raid4" || level == "raid5") return 1;
  if (level == "raid6") return 2;
  return std::nullopt;
}

/// Whether it holds its slot's data, in whole.
bool Serves(const RaidMember& member) {
  return member.state.in_sync && !member.state.faulty && !member.state.replacement;
}

std::string Named(const RaidHistory::Slot& slot) {
  return slot.serial.empty() ? slot.device
                             : absl::StrCat(slot.device, " (serial ", slot.serial, ")");
}

/// Collects what is to be said of one array.
class Judge {
 public:
  Judge(const RaidArray& array, const RaidHistory& history, absl::Time now,
        const RaidOptions& options)
      : array_(array), history_(history), now_(now), options_(options) {}

  RaidJudgement Run() {
    if (absl::StartsWith(array_.metadata, "external:") &&
        !absl::StartsWith(array_.metadata, "external:/") &&
        (array_.state == "inactive" || array_.level.empty() || array_.level == "container")) {
      return {Verdict::kOk, absl::StrCat("container ", array_.metadata)};
    }
    if (array_.state == "inactive") {
      NotAssembled();
    } else {
      if (!Failed()) Degraded();
      JudgeMembers();
      JudgeState();
    }
    return Result();
  }

 private:
  struct Finding {
    Verdict verdict;
    std::string text;
  };

  void Say(Verdict verdict, std::string text) { findings_.push_back({verdict, std::move(text)}); }

  /// "check 10.4 %, 24 s left".
  std::string Progress(absl::string_view action) const {
    std::string text = absl::StrCat(
        action, action.empty() ? "" : " ",
        HumanPercent(static_cast<double>(array_.sync.done_sectors) /
                     static_cast<double>(std::max<int64_t>(1, array_.sync.total_sectors))));
    if (const auto left = array_.SyncTimeLeft()) {
      absl::StrAppend(&text, ", ", HumanDuration(*left), " left");
    }
    return text;
  }

  std::vector<std::string> Names(bool (*wanted)(const RaidMember&)) const {
    std::vector<std::string> names;
    for (const RaidMember& member : array_.members) {
      if (wanted(member)) names.push_back(member.name);
    }
    return names;
  }

  /// One text for every slot without a disk in sync, and one for failed disks without a slot.
  std::vector<std::string> MissingSlots(bool but_rebuilding) const {
    std::vector<std::string> texts;
    for (size_t slot = 0; slot < array_.slot_map.size() && !but_rebuilding; ++slot) {
      if (array_.slot_map[slot] == '_') texts.push_back(MissingSlot(static_cast<int>(slot)));
    }
    const int slots = array_.slot_map.empty() && !array_.members.empty() ? array_.disks : 0;
    for (int slot = 0; slot < slots; ++slot) {
      const RaidMember* holder = nullptr;
      for (const RaidMember& member : array_.members) {
        if (member.slot == slot && !member.state.replacement) holder = &member;
        if (member.slot == slot && Serves(member)) break;
      }
      if (holder != nullptr && Serves(*holder)) continue;
      if (holder == nullptr) {
        texts.push_back(MissingSlot(slot));
      } else if (holder->state.faulty) {
        texts.push_back(absl::StrCat(
            "slot ", slot, " failed: ", Named({.device = holder->name, .serial = holder->serial})));
      } else if (!but_rebuilding) {
        texts.push_back(absl::StrCat("slot ", slot, " not rebuilt on ", holder->name));
      }
    }
    const auto failed =
        Names([](const RaidMember& m) { return m.state.faulty && !m.state.journal && !m.slot; });
    if (!failed.empty()) texts.push_back(absl::StrCat("failed: ", absl::StrJoin(failed, ", ")));
    return texts;
  }

  std::string MissingSlot(int slot) const {
    const auto was = history_.slots.find(slot);
    return was == history_.slots.end()
               ? absl::StrCat("slot ", slot, " missing")
               : absl::StrCat("slot ", slot, " missing, was ", Named(was->second));
  }

  void SayWithSlots(Verdict verdict, std::string text, bool but_rebuilding = false) {
    const auto slots = MissingSlots(but_rebuilding);
    if (!slots.empty()) {
      absl::StrAppend(&text, but_rebuilding ? "; " : ": ", absl::StrJoin(slots, "; "));
    }
    Say(verdict, std::move(text));
  }

  void NotAssembled() {
    const auto names = Names([](const RaidMember&) { return true; });
    std::vector<std::string> texts = {absl::StrCat(
        "not assembled: ", names.empty() ? "no member" : absl::StrJoin(names, ", "), " present")};
    for (const auto& [slot, was] : history_.slots) {
      const bool present = std::any_of(
          array_.members.begin(), array_.members.end(), [&was = was](const RaidMember& member) {
            return was.serial.empty() || member.serial.empty() ? member.name == was.device
                                                               : member.serial == was.serial;
          });
      if (!present) texts.push_back(MissingSlot(slot));
    }
    Say(Verdict::kCrit, absl::StrJoin(texts, "; "));
  }

  /// More is lost than the level survives.
  bool Failed() {
    const auto serving = Names(Serves);
    const bool mirror = array_.level == "raid1" || array_.level == "raid10";
    const int degraded = array_.degraded.value_or(0);
    const std::optional<int> survives = Survives(array_.level);
    if (array_.state == "broken") {
      SayWithSlots(
          Verdict::kCrit,
          mirror && !serving.empty()
              ? absl::StrCat("broken: md keeps its last good disk ", absl::StrJoin(serving, ", "),
                             " though that fails too, copy off what can be read")
              : absl::StrCat("broken: ", array_.level, " lost more disks than it survives"));
    } else if (survives && degraded > *survives) {
      SayWithSlots(Verdict::kCrit,
                   absl::StrCat("failed: ", degraded, " of ", array_.disks, " disks lost, ",
                                array_.level, " survives ", *survives));
    } else if (array_.level == "raid1" && !array_.members.empty() && serving.empty()) {
      SayWithSlots(Verdict::kCrit, "failed: no disk in sync");
    } else {
      return false;
    }
    return true;
  }

  void Degraded() {
    if (array_.degraded.value_or(0) <= 0) return;
    if (array_.sync_action == "recover" && !array_.sync.delayed) {
      Rebuilding();
      return;
    }
    std::string text = "degraded, not rebuilding";
    if (array_.sync.delayed) {
      absl::StrAppend(&text, " (waits for another array)");
    } else if (array_.sync_action == "frozen") {
      absl::StrAppend(&text, " (frozen)");
    } else if (array_.Syncing()) {
      absl::StrAppend(&text, " (", Progress(array_.sync_action), ")");
    }
    SayWithSlots(Verdict::kCrit, std::move(text));
  }

  void Rebuilding() {
    std::vector<std::string> targets;
    bool seen_before = false;
    for (const RaidMember& member : array_.members) {
      if (!member.slot || Serves(member) || member.state.faulty || member.state.journal) continue;
      targets.push_back(absl::StrCat("slot ", *member.slot, " on ", member.name));
      const auto was = history_.slots.find(*member.slot);
      if (was == history_.slots.end()) continue;
      seen_before = true;
      if (was->second.device != member.name || was->second.serial != member.serial) {
        absl::StrAppend(&targets.back(), ", was ", Named(was->second));
      }
    }
    // mdadm builds a new raid4 or raid5 as degraded and recovering: that is no rebuild.
    const bool fresh = (array_.level == "raid5" || array_.level == "raid4") && !seen_before &&
                       Names([](const RaidMember& m) { return m.state.faulty; }).empty();
    std::string text = fresh ? "building" : "rebuilding";
    if (!targets.empty()) absl::StrAppend(&text, " ", absl::StrJoin(targets, ", "));
    if (array_.Syncing()) absl::StrAppend(&text, ": ", Progress(""));
    SayWithSlots(Verdict::kWarn, std::move(text), /*but_rebuilding=*/true);
  }

  void JudgeMembers() {
    const auto journals = [](const RaidMember& m) { return m.state.journal; };
    for (const RaidMember& member : array_.members) {
      const MdMemberState& state = member.state;
      if (state.journal && state.faulty) {
        Say(Verdict::kCrit, absl::StrCat("write journal on ", member.name, " failed"));
        continue;
      }
      if (member.vanished && !state.faulty) {
        const bool needed = Survives(array_.level) == 0;
        Say(needed ? Verdict::kCrit : Verdict::kWarn,
            absl::StrCat(member.name, " has vanished, md has not noticed yet"));
      }
      if (member.bad_block_ranges > 0) {
        Say(Verdict::kWarn, absl::StrCat(member.name, " has ", member.bad_block_ranges,
                                         " bad ranges without redundancy"));
      }
      if (state.faulty) continue;
      if (state.write_error) Say(Verdict::kWarn, absl::StrCat("write errors on ", member.name));
      if (state.want_replacement) Say(Verdict::kWarn, Replacing(member));
    }
    if (array_.policy == "journal" && Names(journals).empty()) {
      Say(Verdict::kCrit, "write journal missing");
    }
    if (array_.degraded.value_or(0) > 0 || array_.state == "broken") return;
    const auto failed =
        Names([](const RaidMember& m) { return m.state.faulty && !m.state.journal; });
    if (!failed.empty()) {
      Say(Verdict::kWarn, absl::StrCat("remove failed disk ", absl::StrJoin(failed, ", ")));
    }
  }

  std::string Replacing(const RaidMember& old) {
    for (const RaidMember& member : array_.members) {
      if (member.state.replacement && member.slot == old.slot && !member.state.faulty) {
        said_progress_ = array_.Syncing();
        return absl::StrCat("replacing ", old.name, " by ", member.name,
                            said_progress_ ? absl::StrCat(": ", Progress("")) : "");
      }
    }
    return absl::StrCat(old.name, " wants to be replaced");
  }

  void JudgeState() {
    if (array_.state == "readonly") Say(Verdict::kWarn, "read-only");
    if (array_.state == "suspended") Say(Verdict::kWarn, "suspended");
    if (array_.last_sync_action == "check" && array_.mismatch_sectors.value_or(0) > 0) {
      Say(Verdict::kWarn,
          absl::StrCat("check found ", *array_.mismatch_sectors, " sectors that differ"));
    }
    if (array_.pending) {
      const absl::Duration waiting = now_ - history_.pending_since;
      if (waiting >= options_.pending_warn) {
        Say(Verdict::kWarn, absl::StrCat("resync pending for ", HumanDuration(waiting),
                                         ", starts with the first write"));
      } else {
        Say(Verdict::kOk, "resync pending, starts with the first write");
      }
    } else if (array_.state == "read-auto") {
      Say(Verdict::kOk, "read-only until the first write");
    }
    if (array_.degraded.value_or(0) > 0 && array_.sync_action != "resync") return;
    if (array_.sync.delayed) {
      Say(Verdict::kOk, absl::StrCat(array_.sync_action, " waits for another array"));
    } else if (array_.Syncing() && !said_progress_) {
      Say(Verdict::kOk, Progress(array_.sync_action));
    }
    NoteOldCheck();
  }

  void NoteOldCheck() {
    if (array_.sync_action == "check" || array_.mismatch_sectors == std::nullopt) return;
    const absl::Time since = std::max(history_.last_check, history_.first_seen);
    if (since == absl::InfinitePast() || now_ - since < options_.check_age_note) return;
    Say(Verdict::kOk, absl::StrCat("no check for ", HumanDuration(now_ - since)));
  }

  /// "raid1 2/2, 1 spare".
  std::string Summary() const {
    const auto spares = Names([](const RaidMember& m) {
      return m.state.spare && !m.slot && !m.state.faulty && !m.state.journal;
    });
    std::string text = absl::StrCat(array_.level, " ", array_.disks - array_.degraded.value_or(0),
                                    "/", array_.disks);
    if (!spares.empty()) absl::StrAppend(&text, ", ", spares.size(), " spare");
    return text;
  }

  /// Worst findings first; an array in order begins with what it is.
  RaidJudgement Result() {
    std::stable_sort(findings_.begin(), findings_.end(), [](const Finding& a, const Finding& b) {
      return IsWorse(a.verdict, b.verdict);
    });
    const Verdict worst = findings_.empty() ? Verdict::kOk : findings_.front().verdict;
    std::vector<std::string> texts;
    if (worst == Verdict::kOk) texts.push_back(Summary());
    for (Finding& finding : findings_) texts.push_back(std::move(finding.text));
    return {worst, absl::StrJoin(texts, worst == Verdict::kOk ? ", " : "; ")};
  }

  const RaidArray& array_;
  const RaidHistory& history_;
  const absl::Time now_;
  const RaidOptions& options_;
  std::vector<Finding> findings_;
  bool said_progress_ = false;
};

}  // namespace

std::optional<absl::Duration> RaidArray::SyncTimeLeft() const {
  if (!Syncing() || sync_speed_kib.value_or(0) <= 0) return std::nullopt;
  return absl::Seconds(static_cast<double>(sync.total_sectors - sync.done_sectors) / 2 /
                       static_cast<double>(*sync_speed_kib));
}

RaidJudgement JudgeRaid(const RaidArray& array, const RaidHistory& history, absl::Time now,
                        const RaidOptions& options) {
  return Judge(array, history, now, options).Run();
}

RaidJudgement JudgeGoneRaid(const RaidHistory& history) {
  std::vector<std::string> members;
  for (const auto& [slot, was] : history.slots) members.push_back(Named(was));
  return {Verdict::kCrit,
          absl::StrCat("array is gone, was ", history.level, " of ", absl::StrJoin(members, ", "))};
}

RaidHistory Remember(const RaidArray& array, RaidHistory history, absl::Time now) {
  history.name = array.name;
  if (!array.level.empty()) history.level = array.level;
  if (history.first_seen == absl::InfinitePast()) history.first_seen = now;
  for (const RaidMember& member : array.members) {
    if (member.slot && Serves(member)) history.slots[*member.slot] = {member.name, member.serial};
  }
  if (array.disks > 0) {
    history.slots.erase(history.slots.lower_bound(array.disks), history.slots.end());
  }
  history.pending_since =
      array.pending ? std::min(history.pending_since, now) : absl::InfiniteFuture();
  // Once a minute is enough: each change is written to disk.
  if (array.sync_action == "check" && now - history.last_check >= absl::Minutes(1)) {
    history.last_check = now;
  }
  return history;
}

}  // namespace fleet::agent
