#include "common/probe/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::probe {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)>;

Handle NewHandle() { return {::curl_url(), &::curl_url_cleanup}; }

std::string Part(CURLU* handle, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (::curl_url_get(handle, part, &text, flags) != CURLUE_OK) return "";
  std::string copy = text;
  ::curl_free(text);
  return copy;
}

absl::Status NoUrl(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("no usable URL: ", Quote(text)));
}

}  // namespace

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  const Handle handle = NewHandle();
  // Without a scheme libcurl would guess.
  if (!absl::StrContains(text, "://")) return NoUrl(text);
  if (::curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
      CURLUE_OK) {
    return NoUrl(text);
  }
  Url url;
  url.scheme = absl::AsciiStrToLower(Part(handle.get(), CURLUPART_SCHEME, 0));
  url.host = Part(handle.get(), CURLUPART_HOST, CURLU_PUNYCODE);
  if (absl::StartsWith(url.host, "[")) url.host = url.host.substr(1, url.host.size() - 2);
  const bool known =
      url.scheme == "http" || url.scheme == "https" || url.scheme == "ws" || url.scheme == "wss";
  if (!known || url.host.empty()) return NoUrl(text);
  const std::string port = Part(handle.get(), CURLUPART_PORT, 0);
  url.port = url.tls() ? 443 : 80;
  if (!port.empty() && (!absl::SimpleAtoi(port, &url.port) || url.port < 1 || url.port > 65535)) {
    return NoUrl(text);
  }
  return url;
}

absl::StatusOr<std::string> ResolveLocation(const std::string& base, const std::string& location) {
  const Handle handle = NewHandle();
  const unsigned flags = CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME;
  if (::curl_url_set(handle.get(), CURLUPART_URL, base.c_str(), flags) != CURLUE_OK ||
      ::curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), flags) != CURLUE_OK) {
    return NoUrl(location);
  }
  const std::string url = Part(handle.get(), CURLUPART_URL, 0);
  const std::string scheme = absl::AsciiStrToLower(Part(handle.get(), CURLUPART_SCHEME, 0));
  if (url.empty() || (scheme != "http" && scheme != "https")) return NoUrl(location);
  return url;
}

std::string WithScheme(absl::string_view text, absl::string_view scheme) {
  const size_t end = std::min(text.find("://"), text.size());
  return absl::StrCat(scheme, text.substr(end));
}

std::string WithHost(const std::string& text, const std::string& host) {
  const Handle handle = NewHandle();
  if (::curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return text;
  const std::string bracketed = absl::StrContains(host, ':') ? absl::StrCat("[", host, "]") : host;
  if (::curl_url_set(handle.get(), CURLUPART_HOST, bracketed.c_str(), 0) != CURLUE_OK) return text;
  return Part(handle.get(), CURLUPART_URL, 0);
}

std::optional<int64_t> ParseHttpDate(const std::string& text) {
  const time_t time = ::curl_getdate(text.c_str(), nullptr);
  if (time == -1) return std::nullopt;
  return time;
}

}  // namespace fleet::probe
