#pragma once

#include <array>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "collector/http/http.h"

namespace fleet::collector {

/// The keys that show reasons. Kept as digests and compared in constant time, so that neither
/// memory nor timing tells a key. Thread-safe.
class AccessKeys {
 public:
  explicit AccessKeys(absl::Span<const std::string> keys);

  /// Whether the request carries one: Authorization: Bearer, X-API-KEY or ?api-key=.
  bool Allows(const HttpRequest& request) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest DigestOf(absl::string_view key);

  std::vector<Digest> digests_;
};

}  // namespace fleet::collector
