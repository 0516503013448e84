#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "collector/state.h"
#include "common/metric.h"

namespace fleet::collector {

/// Where a builtin family's values come from: from each report by itself, so that they are known
/// for late reports too; or from what the collector sees at the moment.
enum class BuiltinSource { kReport, kMoment };
BuiltinSource SourceOfBuiltin(size_t index);

/// Gives each series of the builtin family `index` (of BuiltinMetrics) for one host to `sink`: its
/// labels but for instance, job and host, and its value. The labels live during the call only.
void VisitBuiltin(size_t index, const HostView& host,
                  absl::FunctionRef<void(absl::Span<const Label>, double)> sink);

/// Appends the lines of the builtin family `index` (of BuiltinMetrics) for one host, whole.
void AppendBuiltin(size_t index, const HostView& host, std::string& out);

}  // namespace fleet::collector
