#pragma once

#include <string>
#include <vector>

namespace fleet {

/// What tells whether one of these files was written or replaced since: equal stamps, equal files.
/// Files that are not there, and empty paths, count as nothing.
std::string FileStamp(const std::vector<std::string>& paths);

}  // namespace fleet
