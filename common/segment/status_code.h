#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/segment/segment.h"
#include "common/segment/wire.h"

namespace fleet::segment {

/// Whether two say the same.
bool SameStatus(const ReportStatus& a, const ReportStatus& b);

/// Appends what leads from `before` to `after`.
void PutStatus(const ReportStatus& before, const ReportStatus& after, std::string& out);

/// Reads it back. Errors: kInvalidArgument, kResourceExhausted.
absl::Status GetStatus(Reader& in, const ReportStatus& before, const SegmentLimits& limits,
                       ReportStatus& after);

}  // namespace fleet::segment
