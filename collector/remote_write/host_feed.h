#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "collector/remote_write/batch.h"
#include "collector/remote_write/cursor.h"
#include "collector/remote_write/segment_reader.h"
#include "collector/remote_write/timeline.h"
#include "collector/segment_source.h"
#include "common/clock.h"

namespace fleet::collector {

/// How long a host's newer segments wait for older ones that it has announced, so that a TSDB
/// that takes nothing out of order gets them in order.
inline constexpr absl::Duration kAwaitOlderMax = absl::Minutes(10);
/// A sample so far ahead of the collector's clock waits until its time has come; one further ahead
/// is refused. Were it sent, a TSDB would refuse everybody else's as too old.
inline constexpr absl::Duration kAheadMax = absl::Seconds(60);
/// Of a host that was silent for so long before a start no series are ended by it: no TSDB shows
/// them as present any more, and half a block (one hour) later Prometheus would refuse the markers.
inline constexpr absl::Duration kEndLateMax = absl::Minutes(30);

/// One host's way to one receiver: which segment is next, and what of it has arrived. Nothing is
/// kept of reports in memory but what lies between two of them, so a receiver that is gone costs
/// none. Not thread-safe.
class HostFeed {
 public:
  /// What was lost on the way.
  struct Losses {
    uint64_t reports = 0;         // retention or damage took them first
    uint64_t samples_future = 0;  // too far ahead of the clock
  };

  /// `started`: when this process began to listen; silence is judged from then on. `clock` must
  /// outlive it.
  HostFeed(const SegmentSource& source, SeriesContext& context, const Clock& clock,
           std::string host, SteadyTime started);

  /// Adds what a former process had sent. Before the first Refresh.
  void Restore(const CursorEntry& entry);

  /// Looks at what the source has now. Segments older than `not_before` that are new to this feed
  /// are taken for sent.
  void Refresh(absl::Time not_before);

  /// Makes a batch of about `samples_max` samples, or an empty one when there is nothing to send at
  /// the moment `now`. Until Commit there is no other.
  Batch Next(absl::Time now, size_t samples_max);
  /// The receiver has the batch.
  void Commit(const Batch& batch);

  /// Whether a call of Next may give something at `now`.
  bool HasWork(absl::Time now) const;
  /// What must be kept on disk since the last call: changed cursors, and those of segments gone.
  void TakeChanges(std::vector<CursorEntry>& changed, std::vector<CursorEntry>& gone);
  /// A change that could not be kept must be kept later.
  void MarkChanged(const SegmentId& id);
  Losses TakeLosses() { return std::exchange(losses_, {}); }

  size_t pending_segments() const;
  /// The time of the oldest report that the receiver does not have, as far as known; InfiniteFuture
  /// when it has all.
  absl::Time oldest_pending() const;
  /// Nothing is left of this host in the source.
  bool empty() const { return segments_.empty(); }
  const std::string& host() const { return host_; }

 private:
  struct Segment {
    absl::Time created;
    absl::Duration offset;
    uint64_t reports = 0;
    uint64_t next = 0;  // that the receiver lacks; beyond `reports` where the journal shrank
    absl::Time reached = absl::InfinitePast();  // time of the last report it has, as far as known
    bool listed = false;                        // in the newest look at the source
    bool dirty = false;
    bool skipped = false;  // taken for sent, and was not
  };
  struct Sent {
    uint64_t next;
    absl::Time reached;
  };
  using Key = std::pair<absl::Time, SegmentId>;
  struct Held {
    DecodedReport report;
    std::string check;
  };

  /// As if the batch under way had arrived.
  uint64_t NextOf(const SegmentId& id, const Segment& segment) const;
  /// Reports that the source had and the receiver does not.
  uint64_t Unsent(const SegmentId& id, const Segment& segment) const;
  bool CaughtUp() const;
  /// Whether nothing is to be read at `now`.
  bool Waits(absl::Time now) const;
  /// Whether who was not heard in this time is silent.
  bool HasListened() const;
  /// Whether ReadSent is due.
  bool OwesEnds() const { return restored_ && HasListened(); }
  /// Reads the end of what a former process sent, of a host that was not heard since: somebody has
  /// to know which of its series are to end.
  void ReadSent(absl::Time now);
  Segment* Pick(absl::Time now, SegmentId& id);
  /// Waits when `why` may pass; otherwise gives up what is left of the segment.
  void Failed(const SegmentId& id, Segment& segment, const absl::Status& why, absl::Time now);
  absl::Status Load(const SegmentId& id, const Segment& segment);
  absl::Status Warm(const SegmentId& id, const Segment& segment);
  absl::Status Fill(const SegmentId& id, Segment& segment, absl::Time now, size_t samples_max,
                    Batch& batch);
  void TakeReport(const DecodedReport& report, const Segment& segment, Batch* batch);
  void Unload();
  void DropGone();

  const SegmentSource& source_;
  SeriesContext& context_;
  const Clock& clock_;
  const std::string host_;
  const SteadyTime started_;

  std::map<SegmentId, Segment> segments_;
  std::vector<Key> order_;  // by created
  std::vector<CursorEntry> gone_;
  Losses losses_;
  absl::Time awaiting_since_ = absl::InfiniteFuture();
  bool restored_ = false;  // and nothing was read since

  HostTimeline timeline_;
  std::optional<SegmentReader> reader_;
  std::optional<Held> held_;                      // read, and its time has not come
  absl::Time wait_until_ = absl::InfinitePast();  // to read on; see Waits
  absl::Time warned_ = absl::InfinitePast();      // of what could not be read
  std::optional<SteadyTime> failing_since_;       // what is read next could not be
  std::map<SegmentId, Sent> sent_;                // of the batch under way
  absl::flat_hash_map<std::shared_ptr<const SeriesTable>, int64_t> taken_until_;
};

}  // namespace fleet::collector
