#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/options.h"
#include "agent/parse/md_sysfs.h"
#include "common/report.h"

namespace fleet::agent {

/// One disk or partition of an array.
struct RaidMember {
  std::string name;  // "sdb1"
  std::string serial;
  MdMemberState state;
  std::optional<int> slot;
  int bad_block_ranges = 0;
  int64_t read_errors = 0;  // corrected, since it joined the array
  bool vanished = false;    // the block device is gone, md has not noticed yet
};

/// What the kernel says about one md array.
struct RaidArray {
  std::string name;  // "md0"
  std::string uuid;
  std::string level;            // "raid1"; empty while inactive
  std::string state;            // md/array_state
  std::string metadata;         // "1.2", "external:/md127/0"
  std::string policy;           // md/consistency_policy
  int disks = 0;                // required; 0 while inactive
  std::optional<int> degraded;  // slots without a disk in sync; unknown for raid0, linear, inactive
  std::string sync_action;      // "idle", "recover", "check", "frozen", …
  std::string last_sync_action;
  MdSyncCompleted sync;
  std::optional<int64_t> sync_speed_kib;  // per second
  std::optional<int64_t> mismatch_sectors;
  bool pending = false;  // a resync waits for the first write
  std::vector<RaidMember> members;
  std::string slot_map;  // 'U' or '_' per slot, where nothing tells which member holds which

  /// When the running sync ends at its present speed; nothing when none runs or it stands still.
  std::optional<absl::Duration> SyncTimeLeft() const;
  /// Whether a sync really moves: neither idle nor frozen nor waiting for another array.
  bool Syncing() const { return sync.total_sectors > 0; }
};

/// What is remembered of an array between runs and restarts.
struct RaidHistory {
  struct Slot {
    std::string device;
    std::string serial;
    bool operator==(const Slot&) const = default;
  };
  std::string name;
  std::string level;
  std::map<int, Slot> slots;  // who was last in sync there
  absl::Time first_seen = absl::InfinitePast();
  absl::Time pending_since = absl::InfiniteFuture();
  absl::Time last_check = absl::InfinitePast();  // when a check last ran
  bool operator==(const RaidHistory&) const = default;
};

struct RaidJudgement {
  Verdict verdict = Verdict::kOk;
  std::string reason;
  bool operator==(const RaidJudgement&) const = default;
};

/// Judges one array from the facts alone: crit when data or the last redundancy is lost and nothing
/// is being done about it, warn while it is rebuilt or needs a hand, ok otherwise, also while it is
/// checked. Names the missing member when `history` knows who it was.
RaidJudgement JudgeRaid(const RaidArray& array, const RaidHistory& history, absl::Time now,
                        const RaidOptions& options);

/// For an array that was here once and is not any more.
RaidJudgement JudgeGoneRaid(const RaidHistory& history);

/// `history` after a run that saw `array`.
RaidHistory Remember(const RaidArray& array, RaidHistory history, absl::Time now);

/// One line of text and back; unreadable text is an empty history.
std::string FormatRaidHistory(const RaidHistory& history);
RaidHistory ParseRaidHistory(absl::string_view text);

}  // namespace fleet::agent
