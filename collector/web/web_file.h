#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace fleet::collector {

/// Something rendered for the public: what a path serves and a bucket holds. Immutable.
struct WebFile {
  std::string content_type;
  std::string body;
  std::string etag;  // in quotes
  /// Says until when it holds: the same text an hour later would be another claim.
  bool has_validity = false;
  bool published = false;  // goes to `publish` targets too
};

/// All of it at one moment, by the name that a bucket gives it: "index.html", "badge/1kae.svg".
struct WebFiles {
  uint64_t number = 0;  // of the rendering; grows
  absl::Time generated_at = absl::InfinitePast();
  std::map<std::string, std::shared_ptr<const WebFile>> by_name;
};

}  // namespace fleet::collector
