#pragma once

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::test {

/// One metric family as an exporter shows it.
struct ExposedFamily {
  std::string type;  // "counter", "gauge", "untyped", "histogram", "summary"
  std::string help;
  /// Values by labels in AppendLabels' form, sorted by label name: `device="sda",mode="user"`.
  std::map<std::string, double> series;
};

/// Families by name. A histogram's series keep their suffix in front of the labels.
using Exposition = std::map<std::string, ExposedFamily>;

/// Reads text format 0.0.4. Aborts at anything it cannot read: an exporter of a test speaks it.
Exposition ParseExposition(absl::string_view text);

/// `labels` in AppendLabels' form, sorted by label name.
std::string SortedLabels(absl::string_view labels);

}  // namespace fleet::test
