#include "common/escape.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace fleet {

std::string Quote(absl::string_view text, size_t size_max) {
  const bool cut = text.size() > size_max;
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text.substr(0, size_max)), cut ? "…\"" : "\"");
}

std::string OneLine(absl::string_view text, size_t size_max) {
  std::string line;
  for (const char c : text.substr(0, size_max)) {
    const bool blank = absl::ascii_isspace(static_cast<unsigned char>(c));
    if (blank && (line.empty() || line.back() == ' ')) continue;
    line.push_back(blank ? ' ' : c);
  }
  absl::StripTrailingAsciiWhitespace(&line);
  return absl::StrCat(absl::Utf8SafeCHexEscape(line), text.size() > size_max ? "…" : "");
}

}  // namespace fleet
