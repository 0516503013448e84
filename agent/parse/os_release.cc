#include "agent/parse/os_release.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr std::pair<absl::string_view, std::string OsRelease::*> kKeys[] = {
    {"BUILD_ID", &OsRelease::build_id},
    {"ID", &OsRelease::id},
    {"ID_LIKE", &OsRelease::id_like},
    {"IMAGE_ID", &OsRelease::image_id},
    {"IMAGE_VERSION", &OsRelease::image_version},
    {"NAME", &OsRelease::name},
    {"PRETTY_NAME", &OsRelease::pretty_name},
    {"VARIANT", &OsRelease::variant},
    {"VARIANT_ID", &OsRelease::variant_id},
    {"VERSION", &OsRelease::version},
    {"VERSION_CODENAME", &OsRelease::version_codename},
    {"VERSION_ID", &OsRelease::version_id},
};

/// Takes the quotes off one word as a shell does; nothing when a quote does not end.
std::optional<std::string> Unquote(absl::string_view text) {
  std::string value;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      value.push_back(text[++i]);
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote && quote != 0) {
      quote = 0;
    } else {
      value.push_back(c);
    }
  }
  if (quote != 0) return std::nullopt;
  return value;
}

}  // namespace

absl::StatusOr<OsRelease> ParseOsRelease(absl::string_view text) {
  OsRelease release;
  absl::string_view line;
  while (NextLine(text, line)) {
    const absl::string_view pair = absl::StripAsciiWhitespace(line);
    const size_t equals = pair.find('=');
    if (equals == absl::string_view::npos) continue;
    for (const auto& [key, member] : kKeys) {
      if (pair.substr(0, equals) != key) continue;
      std::optional<std::string> value = Unquote(pair.substr(equals + 1));
      if (!value) {
        return absl::InvalidArgumentError(absl::StrCat("unfinished quote in ", Quote(line)));
      }
      release.*member = *std::move(value);
      break;
    }
  }
  return release;
}

double OsVersionNumber(absl::string_view version_id) {
  size_t size = 0;
  bool dot = false;
  while (size < version_id.size() &&
         (absl::ascii_isdigit(static_cast<unsigned char>(version_id[size])) ||
          (version_id[size] == '.' && size > 0 && !std::exchange(dot, true)))) {
    ++size;
  }
  double number = 0;
  return absl::SimpleAtod(version_id.substr(0, size), &number) ? number : 0;
}

}  // namespace fleet::agent
