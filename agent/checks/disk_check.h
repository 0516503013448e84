#pragma once

#include <memory>

#include "agent/check.h"
#include "agent/checks/checks.h"
#include "agent/checks/filesystem_stats.h"

namespace fleet::agent {

/// The disk check with its own source of usage; null: none is asked, only files tell.
std::unique_ptr<Check> MakeDiskCheckWith(const CheckEnv& env,
                                         std::unique_ptr<FilesystemStats> stats);

}  // namespace fleet::agent
