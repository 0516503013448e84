#pragma once

#include <string>

#include "absl/time/time.h"
#include "collector/probes/probes.h"
#include "common/report.h"
#include "fleet/v1/fleet.pb.h"

namespace fleet::collector {

/// A probe as `fleetctl` and alerts see it: down is crit; what cannot be looked at is unknown;
/// slow, or a certificate that soon ends, is warn. Pure.
struct ProbeVerdict {
  Verdict verdict = Verdict::kOk;
  UnknownKind unknown = UnknownKind::kNone;
  std::string reason;  // one line; empty when there is nothing to say
};
ProbeVerdict JudgeProbe(const ProbeView& view, absl::Time now);

/// The same with all that is known, for fleetctl.
void FillProbe(const ProbeView& view, absl::Time now, v1::ProbeState& out);
void FillDowntime(const Downtime& downtime, absl::string_view probe, v1::DowntimeRecord& out);

}  // namespace fleet::collector
