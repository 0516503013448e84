#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/metric.h"

namespace fleet {

/// Longest label value kept; a longer one is cut at a character boundary.
inline constexpr size_t kLabelValueBytesMax = 1024;

/// Appends `device="sda",mode="user"` to `out`: the exposition form without braces, values escaped
/// (backslash, quote, newline), invalid UTF-8 replaced by '?', cut to kLabelValueBytesMax.
void AppendLabels(absl::Span<const Label> labels, std::string& out);

/// Appends one escaped value, without quotes.
void AppendLabelValue(absl::string_view value, std::string& out);

/// The inverse of AppendLabels: names and unescaped values in order.
/// Errors: kInvalidArgument for anything AppendLabels would not have written, a name outside
/// [a-zA-Z_][a-zA-Z0-9_]*, a repeated name, or more than 64 labels.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseLabels(
    absl::string_view text);

/// Whether `name` is a valid metric name: [a-zA-Z_:][a-zA-Z0-9_:]*.
bool IsMetricName(absl::string_view name);

}  // namespace fleet
