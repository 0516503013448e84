#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/parse/spool_files.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/segment/segment.h"

namespace fleet::agent {

/// What the spool knows of one segment. Guarded by the spool's lock.
struct SpoolSegment {
  /// What one collector has of it.
  struct Reader {
    uint64_t acked = 0;  // reports below this index are safe there
    bool live = false;   // the live stream has sent, or will send, all of it
  };

  SegmentId id;
  SpoolFileName name;
  absl::Time created;  // by the wall clock of then
  SteadyTime born;     // of a segment of this process
  uint64_t order = 0;  // within the shelf, oldest first
  bool closed = false;
  bool scanned = true;      // false: found at the start and not read yet
  bool gone = false;        // acked by everybody or dropped; whoever still holds it lets go
  bool unreadable = false;  // said so already
  bool busy = false;        // the disk works on it, without the lock
  uint64_t reports = 0;
  uint64_t bytes = 0;

  // Its file: what is known to be there.
  bool has_file = false;
  bool broken = false;  // a write or sync failed: the file must be written anew
  bool named = false;   // its name is on the disk
  uint64_t file_bytes = 0;
  uint64_t file_reports = 0;
  uint64_t synced_bytes = 0;
  uint64_t synced_reports = 0;
  std::shared_ptr<AppendFile> file;  // while there is something to write or sync

  // Its bytes from tail_offset on, kept until the disk has them or nobody needs them.
  std::string tail;
  uint64_t tail_offset = 0;
  uint64_t tail_index = 0;  // of the first report in the tail

  std::vector<Reader> readers;  // by collector

  /// Every collector has the reports below this.
  uint64_t acked_by_all() const;
  /// Nobody needs it any longer.
  bool done() const { return closed && scanned && acked_by_all() >= reports; }
  bool waits_for(size_t collector) const {
    const Reader& reader = readers[collector];
    return closed && scanned && !gone && !reader.live && reader.acked < reports;
  }
  /// Forgets the start of the tail as far as `limit` bytes allow, for whole records that
  /// `free(index, end)` gives up; `end` is where the record ends within the segment.
  void TrimTail(uint64_t limit, absl::FunctionRef<bool(uint64_t index, uint64_t end)> free);
};

using SpoolSegmentPtr = std::shared_ptr<SpoolSegment>;

/// The segments of a spool, oldest first. Guarded by the spool's lock.
class SpoolShelf {
 public:
  /// Puts the newest segment on the shelf.
  void Add(SpoolSegmentPtr segment);
  /// Puts found ones, oldest first, before all others.
  void AddOldest(std::vector<SpoolSegmentPtr> segments);
  void Remove(const SpoolSegmentPtr& segment);

  SpoolSegmentPtr Find(const SegmentId& id) const;
  /// The first segment after `order` that `wanted`; null without one.
  SpoolSegmentPtr After(uint64_t order, absl::FunctionRef<bool(const SpoolSegment&)> wanted) const;

  const std::deque<SpoolSegmentPtr>& segments() const { return segments_; }
  size_t size() const { return segments_.size(); }
  uint64_t bytes() const;

 private:
  std::deque<SpoolSegmentPtr> segments_;
  std::map<SegmentId, SpoolSegmentPtr> by_id_;
  uint64_t next_order_ = uint64_t{1} << 32;  // found ones come before
};

/// Bytes of the record, after its header if it is the first of a segment, at the start of `bytes`;
/// 0 when it is cut. Trusts the bytes.
size_t RecordBytes(absl::string_view bytes, bool first);

/// Whole records at the start of `bytes`, which continue segment `id` at `index`.
struct WholeRecords {
  size_t bytes = 0;
  uint64_t reports = 0;
  bool damaged = false;  // what follows fails its checksum
};
/// As many as `bytes_max` takes, one at least if there is one. Checks every checksum.
WholeRecords TakeWholeRecords(absl::string_view bytes, const SegmentId& id, uint64_t index,
                              size_t bytes_max);

/// Which run of the machine this is, and how long it lasts, time asleep included.
class BootClock {
 public:
  virtual ~BootClock() = default;
  /// Random per run of the machine.
  virtual uint32_t id() const = 0;
  virtual absl::Duration Uptime() const = 0;
  /// The machine's. Where it does not tell its boot id, each process has another one.
  static BootClock& Real();
};

}  // namespace fleet::agent
