#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::collector {

/// Longest request target read; a longer one is answered with 414.
inline constexpr size_t kTargetBytesMax = 2048;

/// The path and query of a request line.
struct RequestTarget {
  std::vector<std::string> path;  // decoded segments; empty for "/"
  std::vector<std::pair<std::string, std::string>> query;
  bool operator==(const RequestTarget&) const = default;
};

/// Parses "/health/tempo?api-key=k%20x" or the absolute form "http://host/health". A trailing slash
/// is ignored; '+' in the query is a blank.
/// Errors: kInvalidArgument for text that does not start with '/', a bad or truncated %-escape, a
/// control byte once decoded, an empty, "." or ".." segment; kResourceExhausted for more than
/// kTargetBytesMax bytes.
/// Source: RFC 9110 §4, RFC 3986 §3.3.
absl::StatusOr<RequestTarget> ParseRequestTarget(absl::string_view text);

/// One name or value of a form: '+' is a blank, %XX any byte.
/// Errors: kInvalidArgument for a bad or truncated %-escape.
absl::StatusOr<std::string> DecodeFormText(absl::string_view text);

}  // namespace fleet::collector
