#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::probe {

/// The parts of a URL that a connection needs.
struct Url {
  std::string scheme;  // lower case: http https ws wss
  std::string host;    // as names are looked up: punycode, without brackets
  int port = 0;

  bool tls() const { return scheme == "https" || scheme == "wss"; }
};

/// Errors: kInvalidArgument for what is no URL with a host, or of another scheme.
absl::StatusOr<Url> ParseUrl(const std::string& text);

/// `location` as a redirect from `base` means it, spaces and the like encoded.
/// Errors: kInvalidArgument for what is no http or https URL.
absl::StatusOr<std::string> ResolveLocation(const std::string& base, const std::string& location);

/// `text` with another scheme: what libcurl needs for ws and wss.
std::string WithScheme(absl::string_view text, absl::string_view scheme);
/// `text` with another host: SNI and certificate are its, the connection goes elsewhere.
std::string WithHost(const std::string& text, const std::string& host);

/// Unix seconds of "Sun, 06 Nov 1994 08:49:37 GMT".
std::optional<int64_t> ParseHttpDate(const std::string& text);

}  // namespace fleet::probe
