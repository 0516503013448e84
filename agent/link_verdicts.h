#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "agent/check.h"
#include "agent/links.h"

namespace fleet::agent {

/// Adds an item for each link in `expect_up` (crit unless it works) and for each other physical
/// link: warn when it lost a carrier that it had had for a while, or disappeared; ok otherwise. A
/// link that was never plugged in, or that somebody set down, is no news. What each link was before
/// is kept in run.memory(). Sets the reason of a run without trouble.
void JudgeLinks(const std::vector<Link>& links, absl::Span<const std::string> expect_up,
                CheckRun& run);

}  // namespace fleet::agent
