#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::collector {

/// One request as a handler sees it.
struct HttpRequest {
  std::string method = "GET";     // upper case; a HEAD is answered as a GET, without the body
  std::vector<std::string> path;  // decoded segments: "/health/tempo" is {"health", "tempo"}
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // whole, within the server's bounds
  std::string peer;  // the client's numeric address

  /// The first header of that name (any case); empty when there is none.
  absl::string_view header(absl::string_view name) const;
  /// The first query argument of that name; empty when there is none.
  absl::string_view argument(absl::string_view name) const;
};

/// A body made while it is sent, so that the whole text never exists. Used by one thread at a time.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// Writes up to `size` bytes to `out` and returns how many; 0 ends the body.
  /// An error cuts the connection, so that the client knows it has not seen all.
  virtual absl::StatusOr<size_t> Read(char* out, size_t size) = 0;
};

struct HttpResponse {
  /// Takes the answer when it is there: on any thread, once, also when nobody waits any more.
  using Answer = std::function<void(HttpResponse)>;

  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::unique_ptr<BodySource> source;  // instead of `body`
  /// Instead of all of these: begins what makes the answer, and returns at once. The connection
  /// waits meanwhile, and no thread of the server with it. Called once; its answer is
  /// a whole one: no stream, and not later still.
  std::function<void(Answer)> later;
  std::vector<std::pair<std::string, std::string>> headers;
  absl::string_view route = "other";  // the label of this route in our own metrics; lives on
};

using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

}  // namespace fleet::collector
