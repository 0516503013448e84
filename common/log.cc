#include "common/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"

namespace fleet::log {
namespace {

constexpr size_t kValueSizeMax = 2000;
std::atomic<Level> g_level{Level::kInfo};

absl::string_view Name(Level level) {
  switch (level) {
    case Level::kError:
      return "error";
    case Level::kWarning:
      return "warning";
    case Level::kInfo:
      return "info";
    case Level::kDebug:
      return "debug";
  }
  return "?";
}

bool NeedsQuotes(absl::string_view value) {
  return value.empty() || value.find_first_of(" =\"\\\t\n\r") != absl::string_view::npos;
}

/// Within quotes; an apostrophe needs no escape there.
std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(absl::Utf8SafeCHexEscape(text), {{"\\'", "'"}});
}

}  // namespace

void SetLevel(Level level) { g_level = level; }

std::string Format(absl::string_view message, Fields fields) {
  std::string line = absl::StrCat("msg=\"", Escape(message), "\"");
  for (const Field& field : fields) {
    const absl::string_view value = absl::string_view(field.value).substr(0, kValueSizeMax);
    const std::string escaped = Escape(value);
    if (NeedsQuotes(escaped)) {
      absl::StrAppend(&line, " ", field.key, "=\"", escaped, "\"");
    } else {
      absl::StrAppend(&line, " ", field.key, "=", escaped);
    }
  }
  return line;
}

void Write(Level level, absl::string_view message, Fields fields) {
  if (level > g_level.load(std::memory_order_relaxed)) return;
  static const bool journald =
      ::getenv("JOURNAL_STREAM") != nullptr;  // NOLINT(concurrency-mt-unsafe)
  std::string line =
      journald
          ? absl::StrCat("<", static_cast<int>(level), ">")
          : absl::StrCat(absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()),
                         " level=", Name(level), " ");
  absl::StrAppend(&line, Format(message, fields), "\n");
  // One write, so that lines of several threads do not mix. Nothing sensible can be done on
  // failure.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace fleet::log
