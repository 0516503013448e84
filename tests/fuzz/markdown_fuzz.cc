// Whatever an announcement says, only harmless elements come of it, each closed tag by tag.
#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "collector/web/markdown.h"

namespace {

constexpr size_t kTextBytesMax = 8 << 10;  // as AnnouncementStore has it

/// Whether what follows a '<' is a tag that we know, up to its '>'.
bool IsHarmless(absl::string_view rest) {
  const absl::string_view tag = rest.substr(0, rest.find('>'));
  for (const absl::string_view known :
       {"p",     "/p",  "em",   "/em",        "strong",      "/strong", "code",
        "/code", "pre", "/pre", "/a",         "ul",          "/ul",     "ol",
        "/ol",   "li",  "/li",  "blockquote", "/blockquote", "br /",    "hr /"}) {
    if (tag == known) return true;
  }
  if (absl::StartsWith(tag, "ol start=\"")) {
    return tag.find_first_not_of("0123456789\"", 10) == absl::string_view::npos;
  }
  if (!absl::StartsWithIgnoreCase(tag, "a href=\"https://") &&
      !absl::StartsWithIgnoreCase(tag, "a href=\"http://")) {
    return false;
  }
  // The quote that opens the address and the one that ends the tag.
  return tag.find('"', 8) == tag.size() - 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string html = fleet::collector::MarkdownToHtml(text.substr(0, kTextBytesMax));
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    if (!IsHarmless(absl::string_view(html).substr(at + 1))) std::abort();
  }
  fleet::collector::MarkdownToText(text.substr(0, kTextBytesMax));
  return 0;
}
