#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::collector {

/// Writes compact JSON straight into a string: a list of a thousand checks is asked for every few
/// seconds by every client, and a tree of it would cost ten times as much as its text. The caller
/// keeps the order of calls right: Key before each member of an object.
class JsonText {
 public:
  JsonText& BeginObject() { return Open('{'); }
  JsonText& EndObject() { return Close('}'); }
  JsonText& BeginArray() { return Open('['); }
  JsonText& EndArray() { return Close(']'); }
  JsonText& Key(absl::string_view key);
  /// Bytes that are not UTF-8 become '?'.
  JsonText& Text(absl::string_view text);
  /// null for an empty text.
  JsonText& TextOrNull(absl::string_view text) { return text.empty() ? Null() : Text(text); }
  JsonText& Int(int64_t value);
  /// The shortest text that reads back the same; a whole number without a fraction, null for what
  /// is not finite.
  JsonText& Number(double value);
  JsonText& Bool(bool value) { return Raw(value ? "true" : "false"); }
  JsonText& Null() { return Raw("null"); }

  std::string Take() { return std::move(out_); }

 private:
  JsonText& Open(char bracket);
  JsonText& Close(char bracket);
  JsonText& Raw(absl::string_view text);
  void Separate();
  void AppendQuoted(absl::string_view text);

  std::string out_;
  bool first_ = true;  // nothing stands yet in the innermost object or array
};

}  // namespace fleet::collector
