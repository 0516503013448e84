#include "agent/checks/checks.h"

namespace fleet::agent {
namespace {

constexpr CheckSpec kChecks[] = {
    {"cpu", 1, absl::Seconds(2), MakeCpuCheck},
    {"load", 1, absl::Seconds(2), MakeLoadCheck},
    {"memory", 1, absl::Seconds(2), MakeMemoryCheck},
    {"network", 1, absl::Seconds(5), MakeNetworkCheck},
    {"raid", 1, absl::Seconds(2), MakeRaidCheck},
    {"postgres", 1, absl::Seconds(5), MakePostgresCheck},
};

}  // namespace

absl::Span<const CheckSpec> AllChecks() { return kChecks; }

}  // namespace fleet::agent
