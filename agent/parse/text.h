#pragma once

#include <charconv>

#include "absl/strings/string_view.h"

/// Taking text apart without copies: every parser of a /proc table is made of these.
namespace fleet::agent {

/// Takes the next line off `text`, without its newline. False when nothing is left.
inline bool NextLine(absl::string_view& text, absl::string_view& line) {
  if (text.empty()) return false;
  const size_t end = text.find('\n');
  line = text.substr(0, end);
  text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
  return true;
}

/// Takes the next word off `line`: what stands between blanks and tabs. Empty at the end.
inline absl::string_view NextWord(absl::string_view& line) {
  const size_t begin = line.find_first_not_of(" \t\r");
  if (begin == absl::string_view::npos) {
    line = absl::string_view();
    return line;
  }
  line.remove_prefix(begin);
  const absl::string_view word = line.substr(0, line.find_first_of(" \t\r"));
  line.remove_prefix(word.size());
  return word;
}

/// Reads the whole of `text` as an integer: no sign for unsigned types, no blanks, no overflow.
template <typename T>
bool ParseInteger(absl::string_view text, T& value, int base = 10) {
  const char* const end = text.data() + text.size();
  const std::from_chars_result result = std::from_chars(text.data(), end, value, base);
  return result.ec == std::errc() && result.ptr == end && !text.empty();
}

}  // namespace fleet::agent
