#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// One member in an array's line, such as `vdb[1](W)(F)`. `number` is md's descriptor number, not
/// the slot: a disk that was removed and added again gets the next free one.
struct MdstatMember {
  std::string name;
  int number = 0;
  bool write_mostly = false;  // (W)
  bool journal = false;       // (J)
  bool faulty = false;        // (F)
  bool spare = false;         // (S): without a slot, so every member of an inactive array too
  bool replacement = false;   // (R): being filled to take another member's place
  bool operator==(const MdstatMember&) const = default;
};

/// A running recovery, resync, check or reshape. A repair is printed as a resync.
struct MdstatSync {
  std::string action;
  int64_t done_blocks = 0;  // KiB, of total_blocks
  int64_t total_blocks = 0;
  double finish_minutes = 0;
  int64_t speed_kib_per_second = 0;
  bool operator==(const MdstatSync&) const = default;
};

struct MdstatArray {
  std::string name;
  std::string state;  // "active", "inactive", "broken" (Linux 6.12 and later)
  bool read_only = false;
  bool auto_read_only = false;
  std::string level;  // "raid1"; empty while inactive
  std::vector<MdstatMember> members;
  int64_t blocks = 0;    // KiB
  std::string metadata;  // "1.2", "external:ddf"; empty for 0.90
  /// [disks_required/disks_active] [slots]; absent for raid0, linear and inactive arrays.
  std::optional<int> disks_required;
  int disks_active = 0;
  std::string slots;  // one 'U' or '_' each
  std::optional<MdstatSync> sync;
  std::string pending;  // "resync=PENDING", "resync=DELAYED", "recover=REMOTE", …
  std::string bitmap;   // "1/1 pages [4KB], 65536KB chunk"
  bool operator==(const MdstatArray&) const = default;
};

struct Mdstat {
  std::vector<std::string> personalities;
  std::vector<MdstatArray> arrays;  // in the file's order
  bool operator==(const Mdstat&) const = default;
};

/// Parses /proc/mdstat, such as
///   Personalities : [raid1]
///   md0 : active raid1 vdb[1](F) vda[0]
///         97280 blocks super 1.2 [2/1] [U_]
///         [>....................]  recovery =  2.0% (2048/97280) finish=0.7min speed=2048K/sec
///         bitmap: 1/1 pages [4KB], 65536KB chunk
///
///   unused devices: <none>
/// where blocks are of 1024 bytes. Unknown lines and flags are skipped.
///
/// Errors: kInvalidArgument for text that is no mdstat, an array without state, a member or a
/// number that cannot be read, or more than 1,024 arrays or 4,096 members of one.
/// Source: drivers/md/md.c, md_seq_show(); recorded on Linux 6.1 and 6.12.
absl::StatusOr<Mdstat> ParseMdstat(absl::string_view text);

}  // namespace fleet::agent
