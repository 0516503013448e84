#include "agent/parse/s3_error.h"

#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kBodyBytesMax = 64 << 10;

/// What stands between `begin` and the next `end`; empty without both.
std::string Between(absl::string_view text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  if (from == absl::string_view::npos) return "";
  text.remove_prefix(from + begin.size());
  const size_t size = text.find(end);
  return size == absl::string_view::npos ? "" : OneLine(text.substr(0, size));
}

std::string Field(absl::string_view body, absl::string_view name) {
  const std::string xml = Between(body, absl::StrCat("<", name, ">"), absl::StrCat("</", name));
  return xml.empty() ? Between(body, absl::StrCat("\"", name, "\":\""), "\"") : xml;
}

}  // namespace

S3Error ParseS3Error(absl::string_view body) {
  body = body.substr(0, kBodyBytesMax);
  return {.code = Field(body, "Code"), .message = Field(body, "Message")};
}

}  // namespace fleet::agent
