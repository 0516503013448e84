#pragma once

#include <memory>

#include "agent/checks/checks.h"
#include "agent/checks/systemd_bus.h"

namespace fleet::agent {

/// As MakeSystemdCheck, asking `reader`.
std::unique_ptr<Check> MakeSystemdCheckFrom(const CheckEnv& env,
                                            std::unique_ptr<SystemdReader> reader);

}  // namespace fleet::agent
