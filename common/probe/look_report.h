#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/probe/probe.h"
#include "common/report.h"

/// What a vantage saw, as a report: so it waits in the spool and survives outages as all others do.
namespace fleet::probe {

/// What one vantage saw of one planned probe.
struct Look {
  std::string token;
  IpFamily family = IpFamily::kAny;  // that was asked for
  Result result;
};

/// Whether a check of this name is a look: "probe.TOKEN", "probe.TOKEN.ipv4", "probe.TOKEN.ipv6".
bool IsLook(absl::string_view check);

/// Whether `token` can name a probe: 1 to 32 of [a-z0-9].
bool IsToken(absl::string_view token);

/// `period` is that of the plan. The result's log is left out.
Report ToReport(const Look& look, absl::Duration period);

/// The inverse; what is not probe_* or a fact of the look is dropped.
/// Errors: kInvalidArgument, with the place, for a report that ToReport does not make.
absl::StatusOr<Look> FromReport(const Report& report);

}  // namespace fleet::probe
