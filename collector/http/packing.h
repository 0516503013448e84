#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "collector/http/http.h"

namespace fleet::collector {

/// Shorter bodies are not worth packing.
inline constexpr size_t kGzipBytesMin = 1024;

/// `body` as one gzip member.
std::string Gzipped(absl::string_view body);

/// Whether a body of that size goes out packed to this client.
bool WantsGzip(const HttpRequest& request, size_t bytes);

/// Packs the body where the client takes that, and says so. The answer varies by Accept-Encoding
/// either way, which is the caller's to say.
void PackBody(const HttpRequest& request, HttpResponse& response);

}  // namespace fleet::collector
