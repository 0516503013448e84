#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "fleet/v1/history.pb.h"

namespace fleet::ctl {

/// "6h" is so long ago by the collector's clock; "2026-11-25T22:00:00Z" (RFC 3339) and
/// "2026-11-25 22:00" (UTC) are moments. Errors: kInvalidArgument for anything else.
absl::StatusOr<v1::Moment> ParseMoment(absl::string_view text);

/// What of "node_load1{mode=\"user\",cpu=0}" is the metric and what the labels; quotes may be left
/// out. Errors: kInvalidArgument.
absl::Status ParseSelector(absl::string_view text, v1::SeriesRequest& request);

}  // namespace fleet::ctl
