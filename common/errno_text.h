#pragma once

#include <string>

namespace fleet {

/// What the C library calls `error`, such as "Connection refused"; the same for every locale.
/// Thread-safe, which strerror is not.
std::string ErrnoText(int error);

}  // namespace fleet
