#include "common/escape.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace fleet {
namespace {

constexpr absl::string_view kCut = "…";

/// Escapes control and non-UTF-8 bytes; with `quotable` also what would end a quoted text. Where
/// that makes more than `size_max` bytes, as many characters as fit and kCut.
std::string Escape(absl::string_view text, bool quotable, size_t size_max) {
  std::string valid;
  size_t fits = 0;  // of `valid`, with kCut behind it
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
    if (valid.size() > size_max) return absl::StrCat(valid.substr(0, fits), kCut);
    if (valid.size() + kCut.size() <= size_max) fits = valid.size();
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
  return absl::StrCat("\"", Escape(text, true, size_max), "\"");
}

std::string OneLine(absl::string_view text, size_t size_max) {
  std::string line;
  for (const char c : text) {
    const bool blank = absl::ascii_isspace(static_cast<unsigned char>(c));
    if (blank && (line.empty() || line.back() == ' ')) continue;
    line.push_back(blank ? ' ' : c);
    // Enough to be cut, also without the last one, should it be a blank.
    if (line.size() > size_max + 1) break;
  }
  absl::StripTrailingAsciiWhitespace(&line);
  return Escape(line, false, size_max);
}

}  // namespace fleet
