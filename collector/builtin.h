#pragma once

#include <string>

#include "absl/types/span.h"
#include "collector/state.h"
#include "common/metric.h"

namespace fleet::collector {

/// Appends the lines of the builtin family `index` (of BuiltinMetrics) for one host, whole.
void AppendBuiltin(size_t index, const HostView& host, std::string& out);

}  // namespace fleet::collector
