#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/remote_write/timeline.h"
#include "collector/segment_source.h"

namespace fleet::collector {

struct ExportRequest {
  std::string host = {};  // empty: all
  absl::Time since = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();  // not included
  /// Values held in memory at once, 16 bytes each. Fewer cost more passes over the segments, each
  /// of which takes about a second for 50 million samples. One series has no more than these.
  size_t samples_in_memory = 4 << 20;
};

struct ExportResult {
  uint64_t samples = 0;
  uint64_t series = 0;
  uint64_t lost_segments = 0;  // of which something is missing: damaged, or deleted meanwhile
  uint64_t left_out = 0;       // samples of series that have more than may be in memory
};

/// Writes what the journal holds as OpenMetrics text with timestamps, as `promtool tsdb
/// create-blocks-from openmetrics` takes it: each family once, its series one after another, each
/// in the order of time and with each time once, "# EOF" at the end. The series are those of
/// /metrics, and those of the collector's own that reports tell of (fleet_check_status and its
/// like).
///
/// `write` takes pieces of about 64 KiB. Memory is bounded by samples_in_memory and the labels of
/// all series. What comes into the journal meanwhile is not in it; what goes is counted as lost.
/// Errors: kResourceExhausted for more than kExportSeriesMax series, or kExportTextMax bytes of
/// their names, labels and helps; what `write` returned.
inline constexpr size_t kExportSeriesMax = 5'000'000;
inline constexpr size_t kExportTextMax = size_t{1} << 30;
absl::StatusOr<ExportResult> ExportOpenMetrics(
    const SegmentSource& source, SeriesContext& context, const ExportRequest& request,
    absl::FunctionRef<absl::Status(absl::string_view)> write);

}  // namespace fleet::collector
