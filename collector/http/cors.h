#pragma once

#include "absl/strings/string_view.h"
#include "collector/http/http.h"

namespace fleet::collector {

/// Lets pages of any origin read this answer, and its Date. Never for an error: a page that cannot
/// read the reply keeps its last state, while chitter's takes an error's JSON for "no issues".
void AllowOrigins(HttpResponse& response);

/// The answer to a preflight: any page may ask with these `methods` ("GET, HEAD") and a key.
HttpResponse PreflightAnswer(absl::string_view methods);

}  // namespace fleet::collector
