#pragma once

#include "absl/strings/string_view.h"
#include "collector/http/http.h"

namespace fleet::collector {

/// The answer to a request that cannot be served: {"error": text} below /api, where programs read
/// it, a line of text elsewhere. `target`: the path as it came, with or without a query. No page of
/// another origin may read it (see AllowOrigins).
HttpResponse ErrorAnswer(absl::string_view target, int status, absl::string_view text);
/// The same, of what is known to lie below /api.
HttpResponse ApiError(int status, absl::string_view text);

}  // namespace fleet::collector
