#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "collector/http/http.h"
#include "fleet/v1/fleet.pb.h"

namespace fleet::collector {

/// What /health answers, for probes such as updown.io's: 200 and a body that starts with
/// "fleet-health:tempo/disk:pass", or 503 and "…:fail"; whoever looks at the status and whoever
/// looks for the keyword see the same. `crit` and `unknown` fail, and so does a host or check that
/// is silent; `warn` fails too when `fail_on_warn`. The verdict follows, and with `reasons` one
/// line for each check and probe that is not ok, worst first. Pure.
///
/// `subject` is "tempo", "tempo/disk" or "*" for the fleet, and `status` what was asked about it:
/// 404 when it holds no such host or check. A keyword is looked for whatever the status is, so
/// "pass" must never be part of a failing body.
HttpResponse HealthAnswer(absl::string_view subject, const v1::StatusReply& status,
                          bool fail_on_warn, bool reasons);

}  // namespace fleet::collector
