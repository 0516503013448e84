#pragma once

#include "absl/strings/string_view.h"

namespace fleet {

/// The version of this build, such as "0.1.0".
absl::string_view Version();

}  // namespace fleet
