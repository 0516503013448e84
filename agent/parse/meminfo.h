#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/parse/named_values.h"

namespace fleet::agent {

/// Parses /proc/meminfo, such as
///   Active(anon):       2276 kB
///   HugePages_Total:       0
/// into names as node_exporter makes them: "Active_anon_bytes" in bytes, "HugePages_Total" a count.
/// Lines without a colon, and names that no metric could bear, are skipped.
///
/// Errors: kInvalidArgument for a value that is no number, for more than 512 fields, or for none.
/// Source: proc_meminfo(5)
absl::StatusOr<NamedValues> ParseMeminfo(absl::string_view text);

}  // namespace fleet::agent
