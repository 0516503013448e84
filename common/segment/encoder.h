#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/report.h"
#include "common/segment/segment.h"

namespace fleet {

/// Writes one segment, report by report. Not thread-safe.
class SegmentEncoder {
 public:
  SegmentEncoder(SegmentId id, absl::Time created);
  ~SegmentEncoder();
  SegmentEncoder(SegmentEncoder&&) noexcept;
  SegmentEncoder& operator=(SegmentEncoder&&) noexcept;

  /// Appends the record of `report` to `out`, before the first one the segment's header.
  /// Errors: kResourceExhausted for a report beyond SegmentLimits; then nothing was written and the
  /// segment goes on without it.
  absl::Status Append(const Report& report, std::string& out);

  /// Whether to start the next segment instead of appending.
  bool Full(absl::Time now) const;

  const SegmentId& id() const { return id_; }
  absl::Time created() const { return created_; }
  /// The index that the next report will have.
  uint64_t next_index() const { return next_index_; }
  /// Bytes written so far, with the header.
  size_t bytes() const { return bytes_; }

 private:
  struct Track;

  absl::Status CheckLimits(const Report& report, bool is_new) const;
  absl::Status CheckTotals(const Report& report, const Track* track, size_t definition_bytes) const;
  void WritePayload(const Report& report, size_t check, bool is_new, bool same_series);

  SegmentId id_;
  absl::Time created_;
  uint64_t next_index_ = 0;
  size_t bytes_ = 0;
  size_t series_ = 0;  // of all tracks
  size_t definition_bytes_ = 0;
  size_t items_ = 0;
  absl::flat_hash_map<std::string, size_t> check_ids_;
  std::vector<std::unique_ptr<Track>> tracks_;
  std::string payload_;  // kept for its memory
};

}  // namespace fleet
