#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/parse/named_values.h"

namespace fleet::agent {

/// Parses the fields of /proc/vmstat that node_exporter takes, ^(oom_kill|pgpg|pswp|pg.*fault):
///   oom_kill 0
/// which are counts since boot; pswpin and pswpout are pages, pgpgin and pgpgout KiB. `oom_kill`
/// (Linux 4.13) counts kills of the whole machine and of single cgroups alike.
///
/// Errors: kInvalidArgument for such a field without a number, or more than 64 of them.
/// Source: https://docs.kernel.org/admin-guide/mm/
absl::StatusOr<NamedValues> ParseVmstat(absl::string_view text);

}  // namespace fleet::agent
