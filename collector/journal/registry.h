#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/segment/segment.h"
#include "common/segment/wire.h"

namespace fleet::collector {

/// A segment that an agent's hello says is in its spool.
struct AnnouncedSegment {
  SegmentId id;
  uint64_t reports = 0;  // all it will ever hold
};

/// Which reports of one host were taken in already: of each segment the next index, and for what is
/// over a floor per epoch. It outlives the reports themselves, so that a repeat is known as one
/// after retention. Bounded whatever the host sends. Not thread-safe.
class HostRegistry {
 public:
  static constexpr size_t kEpochsMax = 1'024;
  static constexpr size_t kSegmentsMax = 4'096;  // unfinished ones, of all epochs together
  static constexpr size_t kAnnouncedMax = 16'384;

  /// How many reports of a segment are taken in: into memory, and onto the disk.
  struct Progress {
    uint64_t accepted = 0;
    uint64_t durable = 0;
    bool over = false;  // below the floor: whatever comes is a repeat
  };
  Progress Of(const SegmentId& id) const;
  /// Whether nothing more of it will come, as far as is known.
  bool Closed(const SegmentId& id) const;

  /// Makes room for a segment that is not known yet.
  /// Errors: kResourceExhausted when the host has too many unfinished ones.
  absl::Status Admit(const SegmentId& id);
  /// Reports below `next` are in memory; `last`: it holds no more.
  void Accept(const SegmentId& id, uint64_t next, bool last);
  /// Reports below `next` are on the disk.
  void MakeDurable(const SegmentId& id, uint64_t next);
  /// What a file or log that survived says.
  void Recover(const SegmentId& id, uint64_t next, bool last);

  /// The agent of `epoch` opened a stream with this spool, oldest first: what it does not name and
  /// is older is gone.
  void Announce(uint64_t epoch, const std::vector<AnnouncedSegment>& spool);

  /// Whether an announced segment created before `created` has not fully arrived. `created_of`
  /// gives the creation of one of which something arrived, else InfiniteFuture.
  template <typename CreatedOf>
  bool AwaitsOlder(absl::Time created, CreatedOf created_of) const {
    for (const AnnouncedSegment& segment : announced_) {
      const Progress progress = Of(segment.id);
      const absl::Time started = created_of(segment.id);
      // They are listed oldest first.
      if (started != absl::InfiniteFuture() && started >= created) return false;
      if (!progress.over && progress.durable < segment.reports) return true;
    }
    return false;
  }
  /// What is still announced will not come any more.
  void StopAwaiting() { announced_.clear(); }
  bool awaiting() const { return !announced_.empty(); }

  size_t epochs() const { return epochs_.size(); }
  size_t segments() const { return segments_; }

  /// What is durable of it, for the catalog.
  void Put(std::string& out) const;
  /// Reads it back. False for what Put does not write.
  bool Get(segment::Reader& in);

 private:
  struct Segment {
    uint64_t accepted = 0;
    uint64_t durable = 0;
    bool last = false;
  };
  struct Epoch {
    uint64_t floor = 0;    // every lower segment is over
    bool expected = true;  // the newest hello named it, or something came since
    uint64_t used = 0;     // when it was used last, in uses
    absl::btree_map<uint64_t, Segment> segments;
  };

  const Segment* Find(const SegmentId& id) const;
  Epoch& Use(uint64_t epoch);
  void RaiseFloor(Epoch& epoch, uint64_t floor);
  void RaiseOverWhole(Epoch& epoch);
  void Settle(Epoch& epoch);
  bool Evict(uint64_t but);

  absl::btree_map<uint64_t, Epoch> epochs_;
  std::vector<AnnouncedSegment> announced_;
  size_t segments_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace fleet::collector
