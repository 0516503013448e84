#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/segment_source.h"
#include "collector/state.h"
#include "fleet/v1/history.pb.h"

/// What was, read from the journal. Every call reads files and decodes: not for threads that must
/// not wait.
namespace fleet::collector {

inline constexpr size_t kHistorySeriesMax = 500;
inline constexpr uint32_t kHistoryBucketsMax = 20'000;

/// Gives each report that a stored segment has of its host to `sink`, up to where it is damaged. A
/// look of a vantage says nothing of the host, here as in the state, and is left out. Layouts come
/// from `pool` when there is one.
void ReadReports(const SegmentSource& source, const StoredSegment& segment, LayoutPool* pool,
                 absl::FunctionRef<void(const DecodedReport&)> sink);

/// The newest report of each check of `host` that was measured at `at` or before, by our clock,
/// sorted by name. Looks at the newest segments only: a check that was silent for hours while its
/// host talked is not there. A host that is silent itself is, as long as the journal has anything
/// of it: as in the state, it is gone when it is retired. There are no more checks than `limits`
/// has, and one whose definitions are beyond them comes without its series. Layouts come from
/// `pool` when there is one.
std::vector<RestoredCheck> ChecksAt(const SegmentSource& source, absl::string_view host,
                                    absl::Time at, const StateLimits& limits, LayoutPool* pool);

/// The state of the fleet at `at`, by the rules of that moment: the hosts that RestoreState would
/// have made known then. `wanted` says which were of the fleet.
v1::StatusReply StatusAt(const SegmentSource& source, const StateOptions& options,
                         const v1::StatusRequest& request, absl::Time at,
                         absl::FunctionRef<bool(absl::string_view)> wanted);

/// Makes every host that the journal knows, and that is `wanted`, known to `state`, each as old as
/// it is.
void RestoreState(const SegmentSource& source, FleetState& state, absl::Time now,
                  absl::FunctionRef<bool(absl::string_view)> wanted);

struct SeriesQuery {
  std::string host;
  std::string metric;
  std::vector<std::pair<std::string, std::string>> matches;  // label, value
  absl::Time since;
  absl::Time until;
  uint32_t buckets = 80;
};

/// Errors: kInvalidArgument for a query that cannot be, kNotFound when the host or the metric is
/// not in the journal.
absl::StatusOr<v1::SeriesReply> QuerySeries(const SegmentSource& source, const SeriesQuery& query);

}  // namespace fleet::collector
