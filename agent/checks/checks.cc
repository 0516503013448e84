#include "agent/checks/checks.h"

namespace fleet::agent {
namespace {

constexpr CheckSpec kChecks[] = {
    {"load", 1, absl::Seconds(2), MakeLoadCheck},
};

}  // namespace

absl::Span<const CheckSpec> AllChecks() { return kChecks; }

}  // namespace fleet::agent
