#include "common/escape.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace fleet {
namespace {

/// The first `size_max` bytes, fewer where that would cut a character.
absl::string_view Cut(absl::string_view text, size_t size_max) {
  if (text.size() <= size_max) return text;
  size_t size = size_max;
  while (size > 0 && size_max - size < 3 && (text[size] & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

/// Escapes control and non-UTF-8 bytes; with `quotable` also what would end a quoted text.
std::string Escape(absl::string_view text, bool quotable) {
  std::string valid;
  for (size_t i = 0; i < text.size();) {
    const size_t size = Utf8SequenceSize(text.substr(i));
    if (size > 1) {
      valid.append(text.data() + i, size);
    } else if (size == 1 && !quotable && absl::ascii_isprint(static_cast<unsigned char>(text[i]))) {
      valid.push_back(text[i]);
    } else if (size == 1) {
      absl::StrAppend(&valid, absl::CHexEscape(text.substr(i, 1)));
    } else {
      absl::StrAppend(&valid, "\\x",
                      absl::Hex(static_cast<unsigned char>(text[i]), absl::kZeroPad2));
    }
    i += size == 0 ? 1 : size;
  }
  return valid;
}

}  // namespace

size_t Utf8SequenceSize(absl::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t size = lead >= 0xF0 && lead <= 0xF4  ? 4
                      : lead >= 0xE0 && lead < 0xF0 ? 3
                      : lead >= 0xC2 && lead < 0xE0 ? 2
                                                    : 0;
  if (size == 0 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and code points past U+10FFFF.
  if ((lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xED && byte(1) > 0x9F) ||
      (lead == 0xF0 && byte(1) < 0x90) || (lead == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return size;
}

std::string Quote(absl::string_view text, size_t size_max) {
  const bool cut = text.size() > size_max;
  return absl::StrCat("\"", Escape(Cut(text, size_max), true), cut ? "…\"" : "\"");
}

std::string OneLine(absl::string_view text, size_t size_max) {
  std::string line;
  for (const char c : Cut(text, size_max)) {
    const bool blank = absl::ascii_isspace(static_cast<unsigned char>(c));
    if (blank && (line.empty() || line.back() == ' ')) continue;
    line.push_back(blank ? ' ' : c);
  }
  absl::StripTrailingAsciiWhitespace(&line);
  return absl::StrCat(Escape(line, false), text.size() > size_max ? "…" : "");
}

}  // namespace fleet
