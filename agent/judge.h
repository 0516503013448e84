#pragma once

#include "absl/status/status.h"
#include "common/report.h"

namespace fleet::agent {

/// Completes the report of one run: what Check::Collect returned (see its table) and the worst item
/// become verdict, reason, success and absence. `expected`: configured, or once seen here. Pure.
void Judge(const absl::Status& status, bool expected, Report& report);

/// The report of a run that did not come back within its deadline.
Report StuckReport(absl::string_view check, absl::Time start, absl::Duration running);

}  // namespace fleet::agent
