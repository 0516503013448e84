#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "collector/web/status_model.h"

namespace fleet::collector {

/// The status page: one HTML document that needs nothing else, so that it works from any directory
/// or bucket. Without JavaScript every verdict says as of when it holds and after when it is void;
/// with it the page says how old it is, refreshes itself and turns to "no news" when it is stale.
/// Pure.
std::string RenderStatusPage(const StatusModel& model);

/// What the page may do, as a Content-Security-Policy: its own style and script, by hash, and
/// requests to where it came from. Lives on.
absl::string_view StatusPagePolicy();

/// The page's style and script: status_page.css and status_page.js as they were at build time.
extern const absl::string_view kStatusPageStyle;
extern const absl::string_view kStatusPageScript;

}  // namespace fleet::collector
