#include "agent/checks/checks.h"

namespace fleet::agent {
namespace {

constexpr CheckSpec kChecks[] = {
    {"clock", 1, absl::Seconds(2), MakeClockCheck},
    {"cpu", 1, absl::Seconds(2), MakeCpuCheck},
    {"disk", 1, absl::Seconds(5), MakeDiskCheck},
    {"kernel", 1, absl::Seconds(2), MakeKernelCheck},
    {"load", 1, absl::Seconds(2), MakeLoadCheck},
    {"memory", 1, absl::Seconds(2), MakeMemoryCheck},
    {"minio", 2, absl::Seconds(14), MakeMinioCheck},
    {"network", 1, absl::Seconds(5), MakeNetworkCheck},
    {"postgres", 1, absl::Seconds(5), MakePostgresCheck},
    {"raid", 1, absl::Seconds(2), MakeRaidCheck},
    {"redis", 1, absl::Seconds(4), MakeRedisCheck},
    {"sidekiq", 1, absl::Seconds(4), MakeSidekiqCheck},
    {"systemd", 1, absl::Seconds(3), MakeSystemdCheck},
    {"tinc", 1, absl::Seconds(5), MakeTincCheck},
};

}  // namespace

absl::Span<const CheckSpec> AllChecks() { return kChecks; }

}  // namespace fleet::agent
