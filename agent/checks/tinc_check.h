#pragma once

#include <memory>

#include "agent/checks/checks.h"
#include "agent/tinc_probe.h"

namespace fleet::agent {

/// The tinc check with a prober of the caller's: for tests. MakeTincCheck has the real one.
std::unique_ptr<Check> MakeTincCheckWith(const CheckEnv& env, std::unique_ptr<TincProber> prober);

}  // namespace fleet::agent
