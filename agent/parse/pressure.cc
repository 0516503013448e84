#include "agent/parse/pressure.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

bool ParsePercent(absl::string_view text, double& ratio) {
  double percent = 0;
  if (!absl::SimpleAtod(text, &percent) || !(percent >= 0) || percent > 1e3) return false;
  ratio = percent / 100;
  return true;
}

std::optional<PressureLine> ParseLine(absl::string_view rest) {
  PressureLine line;
  bool total = false;
  for (absl::string_view word = NextWord(rest); !word.empty(); word = NextWord(rest)) {
    if (absl::ConsumePrefix(&word, "total=")) {
      if (!ParseInteger(word, line.total_us)) return std::nullopt;
      total = true;
    } else if (absl::ConsumePrefix(&word, "avg60=")) {
      if (!ParsePercent(word, line.avg60)) return std::nullopt;
    } else if (absl::ConsumePrefix(&word, "avg300=")) {
      if (!ParsePercent(word, line.avg300)) return std::nullopt;
    }
  }
  if (!total) return std::nullopt;
  return line;
}

}  // namespace

absl::StatusOr<Pressure> ParsePressure(absl::string_view text) {
  Pressure pressure;
  absl::string_view line;
  while (NextLine(text, line)) {
    absl::string_view rest = line;
    const absl::string_view name = NextWord(rest);
    if (name != "some" && name != "full") continue;
    const std::optional<PressureLine> parsed = ParseLine(rest);
    if (!parsed) {
      return absl::InvalidArgumentError(absl::StrCat("no usable pressure in ", Quote(line)));
    }
    (name == "some" ? pressure.some : pressure.full) = parsed;
  }
  if (!pressure.some && !pressure.full) return absl::InvalidArgumentError("no pressure line");
  return pressure;
}

}  // namespace fleet::agent
