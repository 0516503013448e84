#pragma once

#include <algorithm>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/segment/segment.h"

namespace fleet::collector {

/// One segment of the journal, as a reader needs it.
struct StoredSegment {
  std::string host;
  SegmentId id;
  /// By the collector's clock: the segment's own `created` plus `offset`.
  absl::Time created;
  /// Added to the segment's times it gives the collector's clock; 0 when the clocks agree within a
  /// second.
  absl::Duration offset;
  uint64_t reports = 0;  // durable so far
  bool closed = false;   // nothing more will come
};

/// What readers of the journal (remote-write, history, export) see. Thread-safe.
class SegmentSource {
 public:
  virtual ~SegmentSource() = default;

  virtual std::vector<std::string> Hosts() const = 0;

  /// Segments of `host`, oldest `created` first.
  virtual std::vector<StoredSegment> Segments(absl::string_view host) const = 0;

  /// Durable bytes of a segment from its header on.
  /// Errors: kNotFound when retention took it.
  virtual absl::StatusOr<std::string> Read(absl::string_view host, const SegmentId& id) const = 0;

  /// As Read without the first `offset` bytes: what a reader of a growing segment needs. Empty when
  /// there is nothing beyond.
  virtual absl::StatusOr<std::string> ReadFrom(absl::string_view host, const SegmentId& id,
                                               uint64_t offset) const {
    absl::StatusOr<std::string> bytes = Read(host, id);
    if (bytes.ok()) bytes->erase(0, std::min<uint64_t>(offset, bytes->size()));
    return bytes;
  }

  /// Whether `host` announced segments created before `created` that have not fully arrived: its
  /// spool drains.
  virtual bool AwaitsOlder(absl::string_view host, absl::Time created) const = 0;

  /// Grows with each durable change.
  virtual uint64_t version() const = 0;
  /// Waits until the version is no longer `seen`, `deadline` or a stop; returns the version.
  virtual uint64_t WaitForChange(uint64_t seen, SteadyTime deadline,
                                 const std::stop_token& stop) const = 0;
};

}  // namespace fleet::collector
