#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace fleet::log {

/// One key=value of a log line. Takes what StrCat takes, and absl::Status.
struct Field {
  template <typename T>
  Field(absl::string_view field_key, const T& field_value)
      : key(field_key), value(absl::StrCat(field_value)) {}
  Field(absl::string_view field_key, const absl::Status& status)
      : key(field_key), value(status.ToString(absl::StatusToStringMode::kWithNoExtraData)) {}
  absl::string_view key;
  std::string value;
};
using Fields = std::initializer_list<Field>;

enum class Level { kError = 3, kWarning = 4, kInfo = 6, kDebug = 7 };

/// Lines below `level` are dropped; kInfo at first. Thread-safe.
void SetLevel(Level level);

/// One logfmt line on stderr: the constant message first, variables as keys. Under journald
/// (JOURNAL_STREAM set) the level is the <N> prefix and no timestamp is written. Thread-safe.
void Write(Level level, absl::string_view message, Fields fields);

inline void Error(absl::string_view message, Fields fields = {}) {
  Write(Level::kError, message, fields);
}
inline void Warning(absl::string_view message, Fields fields = {}) {
  Write(Level::kWarning, message, fields);
}
inline void Info(absl::string_view message, Fields fields = {}) {
  Write(Level::kInfo, message, fields);
}
inline void Debug(absl::string_view message, Fields fields = {}) {
  Write(Level::kDebug, message, fields);
}

/// The line as Write would print it, without prefix and timestamp. Pure.
std::string Format(absl::string_view message, Fields fields);

}  // namespace fleet::log
