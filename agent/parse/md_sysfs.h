#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

/// The attributes of /sys/block/mdN/md that are more than a word. White space around is allowed.
/// Source: Documentation/admin-guide/md.rst; recorded on Linux 6.1 and 6.12.
namespace fleet::agent {

/// md/sync_completed.
struct MdSyncCompleted {
  bool delayed = false;  // waits for another array on the same disks
  /// Sectors of 512 bytes; total 0 when nothing runs.
  int64_t done_sectors = 0;
  int64_t total_sectors = 0;
  bool operator==(const MdSyncCompleted&) const = default;
};

/// "none", "delayed" or "12168 / 194560".
/// Errors: kInvalidArgument for anything else, or more done than there is.
absl::StatusOr<MdSyncCompleted> ParseMdSyncCompleted(absl::string_view text);

/// md/raid_disks.
struct MdRaidDisks {
  int disks = 0;              // 0 while inactive
  std::optional<int> before;  // during a reshape: how many it had
  bool operator==(const MdRaidDisks&) const = default;
};

/// "3", "4 (3)" (growing from three to four) or nothing (inactive).
/// Errors: kInvalidArgument for anything else.
absl::StatusOr<MdRaidDisks> ParseMdRaidDisks(absl::string_view text);

/// md/dev-X/state: a comma list, of which these are known; other words are skipped.
struct MdMemberState {
  bool in_sync = false;
  bool faulty = false;
  bool spare = false;  // not in sync (yet): idle, or being rebuilt when it has a slot
  bool journal = false;
  bool write_mostly = false;
  bool blocked = false;
  bool write_error = false;
  bool want_replacement = false;
  bool replacement = false;
  bool operator==(const MdMemberState&) const = default;
};
MdMemberState ParseMdMemberState(absl::string_view text);

/// md/dev-X/bad_blocks: how many ranges, one "START LENGTH" a line, in sectors.
/// Errors: kInvalidArgument for a line without two numbers.
absl::StatusOr<int> ParseMdBadBlocks(absl::string_view text);

/// A count that may be "none" or "max" (sync_speed, resync_start, slot): nothing then.
/// Errors: kInvalidArgument for anything but those words and a non-negative number.
absl::StatusOr<std::optional<int64_t>> ParseMdNumber(absl::string_view text);

}  // namespace fleet::agent
