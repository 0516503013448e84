#pragma once

#include "absl/strings/string_view.h"

namespace fleet {

/// Whether `name` may name a host of the fleet: letters, digits, '-', '_' and '.', a letter or
/// digit at both ends, at most 253 bytes.
bool IsHostName(absl::string_view name);

}  // namespace fleet
