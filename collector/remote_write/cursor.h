#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/segment/segment.h"

namespace fleet::collector {

/// How much of a segment a receiver has.
struct CursorEntry {
  std::string host;
  SegmentId id;
  uint64_t next = 0;     // index of the first report it does not have
  uint64_t reports = 0;  // known of at that time

  bool operator==(const CursorEntry&) const = default;
};

/// Where each receiver is in the journal, kept over restarts. A receiver is known by its name.
/// Thread-safe.
class CursorStore {
 public:
  virtual ~CursorStore() = default;

  /// Everything kept for `receiver`.
  virtual absl::StatusOr<std::vector<CursorEntry>> Load(absl::string_view receiver) = 0;
  /// Keeps `entries`, over what was kept of the same segments, and forgets those of `gone`; all of
  /// it or nothing.
  virtual absl::Status Save(absl::string_view receiver, absl::Span<const CursorEntry> entries,
                            absl::Span<const CursorEntry> gone) = 0;
};

}  // namespace fleet::collector
