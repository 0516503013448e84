#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "common/clock.h"
#include "common/mutex.h"
#include "common/report.h"
#include "common/segment/encoder.h"

namespace fleet::agent {

/// The reports that wait for one collector. While nobody listens only the newest of each check is
/// kept; a stream that opens gets those first, in a fresh segment that can be decoded alone.
/// Thread-safe.
class Outbox {
 public:
  /// A calm report waits this long for the others of its tick, so that they leave in one message.
  static constexpr absl::Duration kLinger = absl::Milliseconds(50);
  static constexpr size_t kPendingMax = 4096;

  /// Records of one segment, as they go on the wire.
  struct Batch {
    SegmentId segment;
    uint64_t first_index = 0;
    std::string records;
  };

  Outbox(uint64_t epoch, Clock& clock);

  /// Adds a report. Returns when Take should be called: now for a changed verdict, a little later
  /// for a calm one, nothing when that time is already known.
  std::optional<SteadyTime> Add(std::shared_ptr<const Report> report);

  /// A stream opened: starts a segment with the newest report of every check.
  void Open();
  /// The stream is gone.
  void Close();

  /// Encodes what waits. Nothing when closed or when nothing waits.
  std::optional<Batch> Take();

  /// Reports dropped because kPendingMax waited, or because they pass a segment's limits.
  uint64_t dropped() const;

 private:
  Clock& clock_;
  const uint64_t epoch_;

  mutable Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<SteadyTime> due_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const Report>> newest_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<const Report>> pending_ ABSL_GUARDED_BY(mutex_);
  std::optional<SegmentEncoder> encoder_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_segment_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace fleet::agent
