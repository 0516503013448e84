#include "collector/web/html.h"

#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::collector {

std::string Escaped(absl::string_view text) {
  std::string safe;
  safe.reserve(text.size() + text.size() / 8);
  for (size_t i = 0; i < text.size();) {
    const size_t size = Utf8SequenceSize(text.substr(i));
    const char c = text[i];
    if (size == 0) {
      safe += "\xEF\xBF\xBD";
    } else if (size > 1) {
      safe.append(text.data() + i, size);
    } else if (c == '&') {
      safe += "&amp;";
    } else if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (c == '"') {
      safe += "&quot;";
    } else if (c == '\'') {
      safe += "&#39;";
    } else if (c == '\n' || c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)) {
      safe += c;
    }
    i += size == 0 ? 1 : size;
  }
  return safe;
}

std::string IsoTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string TimeElement(absl::Time time, absl::TimeZone zone) {
  return absl::StrCat("<time datetime=\"", IsoTime(time), "\">",
                      absl::FormatTime("%-d %b %Y, %H:%M %Z", time, zone), "</time>");
}

std::string ClockText(absl::Time time, absl::TimeZone zone) {
  return absl::FormatTime("%H:%M %Z", time, zone);
}

}  // namespace fleet::collector
