#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/probe/probe.h"

namespace fleet::v1 {
class PlannedProbe;
class ProbePlan;
}  // namespace fleet::v1

/// What a collector asks a vantage to look at, as it goes over the wire.
namespace fleet::probe {

/// An agent takes no more of a plan: each probe is a check of its own in its segments, which hold
/// 256 of them.
inline constexpr size_t kPlannedMax = 200;
inline constexpr absl::Duration kPlannedPeriodMin = absl::Seconds(1);
inline constexpr absl::Duration kPlannedPeriodMax = absl::Hours(24);
inline constexpr absl::Duration kPlannedTimeoutMax = absl::Seconds(60);
/// Of every text and list of a planned probe, together.
inline constexpr size_t kPlannedBytesMax = 64 << 10;

/// One probe of a plan.
struct Planned {
  std::string token;
  absl::Duration period;
  bool both_families = false;  // IPv4 and IPv6, each by itself
  Spec spec;                   // without guard and tls.ca_file, which are the looker's own
};

/// The families that are looked at, each by itself.
std::vector<IpFamily> FamiliesOf(const Planned& planned);

void ToProto(const Planned& planned, v1::PlannedProbe& message);

/// Reads what came over the wire.
/// Errors: kInvalidArgument, naming the field, for what is no probe; kResourceExhausted beyond a
/// limit above.
absl::StatusOr<Planned> FromProto(const v1::PlannedProbe& message);

}  // namespace fleet::probe
