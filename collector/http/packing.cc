#include "collector/http/packing.h"

#include "collector/gzip.h"
#include "collector/http/negotiate.h"

namespace fleet::collector {

std::string Gzipped(absl::string_view body) {
  std::string packed;
  GzipStream().Compress(body, true, packed);
  return packed;
}

bool WantsGzip(const HttpRequest& request, size_t bytes) {
  return bytes >= kGzipBytesMin && AcceptsGzip(request.header("accept-encoding"));
}

void PackBody(const HttpRequest& request, HttpResponse& response) {
  if (!WantsGzip(request, response.body.size())) return;
  response.body = Gzipped(response.body);
  response.headers.emplace_back("Content-Encoding", "gzip");
}

}  // namespace fleet::collector
