#include "collector/updown/json_text.h"

#include <charconv>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/escape.h"

namespace fleet::collector {

void JsonText::Separate() {
  if (!first_) out_.push_back(',');
  first_ = false;
}

JsonText& JsonText::Open(char bracket) {
  Separate();
  out_.push_back(bracket);
  first_ = true;
  return *this;
}

JsonText& JsonText::Close(char bracket) {
  out_.push_back(bracket);
  first_ = false;
  return *this;
}

JsonText& JsonText::Raw(absl::string_view text) {
  Separate();
  out_.append(text.data(), text.size());
  return *this;
}

JsonText& JsonText::Key(absl::string_view key) {
  Separate();
  AppendQuoted(key);
  out_.push_back(':');
  first_ = true;  // no comma before the value
  return *this;
}

JsonText& JsonText::Text(absl::string_view text) {
  Separate();
  AppendQuoted(text);
  return *this;
}

void JsonText::AppendQuoted(absl::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  out_.push_back('"');
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text[0]);
    if (byte >= 0x80) {
      const size_t size = Utf8SequenceSize(text);
      out_.append(size == 0 ? "?" : text.data(), size == 0 ? 1 : size);
      text.remove_prefix(size == 0 ? 1 : size);
      continue;
    }
    if (byte == '"' || byte == '\\') {
      out_.push_back('\\');
      out_.push_back(static_cast<char>(byte));
    } else if (byte == '\n') {
      out_.append("\\n");
    } else if (byte < 0x20) {
      out_.append("\\u00");
      out_.push_back(kHex[byte >> 4]);
      out_.push_back(kHex[byte & 15]);
    } else {
      out_.push_back(static_cast<char>(byte));
    }
    text.remove_prefix(1);
  }
  out_.push_back('"');
}

JsonText& JsonText::Int(int64_t value) {
  Separate();
  absl::StrAppend(&out_, value);
  return *this;
}

JsonText& JsonText::Number(double value) {
  if (!std::isfinite(value)) return Null();
  constexpr double kExact = 1e15;  // whole numbers below stand as such
  if (value == std::floor(value) && std::abs(value) < kExact) {
    return Int(static_cast<int64_t>(value));
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  return Raw(absl::string_view(text, static_cast<size_t>(end - text)));
}

}  // namespace fleet::collector
