#include "common/units.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet {
namespace {

// Longest first, so that "ms" is not read as "m".
constexpr std::pair<absl::string_view, int64_t> kDurationUnits[] = {
    {"ms", 1'000'000},          {"us", 1'000},
    {"w", 604'800'000'000'000}, {"d", 86'400'000'000'000},
    {"h", 3'600'000'000'000},   {"m", 60'000'000'000},
    {"s", 1'000'000'000},
};
constexpr std::pair<absl::string_view, double> kByteUnits[] = {
    {"KiB", 1024.0},
    {"MiB", 1048576.0},
    {"GiB", 1073741824.0},
    {"TiB", 1099511627776.0},
    {"kB", 1e3},
    {"KB", 1e3},
    {"MB", 1e6},
    {"GB", 1e9},
    {"TB", 1e12},
    {"K", 1024.0},
    {"M", 1048576.0},
    {"G", 1073741824.0},
    {"T", 1099511627776.0},
    {"B", 1.0},
};

/// Takes a leading unsigned decimal number off `text`.
bool ConsumeNumber(absl::string_view& text, double& value) {
  size_t size = 0;
  while (size < text.size() &&
         (absl::ascii_isdigit(static_cast<unsigned char>(text[size])) || text[size] == '.')) {
    ++size;
  }
  if (size == 0 || !absl::SimpleAtod(text.substr(0, size), &value)) return false;
  text.remove_prefix(size);
  return true;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view text) {
  const auto bad = [text] {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a duration such as 10s, 5m or 1h30m, got ", Quote(text)));
  };
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (rest.empty()) return bad();
  absl::Duration total;
  absl::Duration last_unit = absl::InfiniteDuration();
  while (!rest.empty()) {
    double number = 0;
    if (!ConsumeNumber(rest, number)) return bad();
    bool found = false;
    for (const auto& [name, nanoseconds] : kDurationUnits) {
      if (!absl::ConsumePrefix(&rest, name)) continue;
      const absl::Duration unit = absl::Nanoseconds(nanoseconds);
      if (unit >= last_unit) return bad();
      last_unit = unit;
      total += unit * number;
      found = true;
      break;
    }
    if (!found) return bad();
  }
  if (total == absl::InfiniteDuration()) return bad();
  return total;
}

absl::StatusOr<double> ParseRatio(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  const bool percent = absl::ConsumeSuffix(&rest, "%");
  double value = 0;
  if (!absl::SimpleAtod(absl::StripTrailingAsciiWhitespace(rest), &value) ||
      !(value >= 0 && value <= (percent ? 100 : 1))) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a ratio such as 85% or 0.85, got ", Quote(text)));
  }
  return percent ? value / 100 : value;
}

absl::StatusOr<int64_t> ParseBytes(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  double number = 0;
  double unit = 1;
  const bool has_number = ConsumeNumber(rest, number);
  rest = absl::StripLeadingAsciiWhitespace(rest);
  bool known = rest.empty();
  for (const auto& [name, size] : kByteUnits) {
    if (rest == name) {
      unit = size;
      known = true;
      break;
    }
  }
  const double bytes = number * unit;
  if (!has_number || !known || !(bytes <= 9007199254740992.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a size such as 64MiB, got ", Quote(text)));
  }
  return static_cast<int64_t>(std::llround(bytes));
}

std::string HumanDuration(absl::Duration span) {
  if (span < absl::ZeroDuration()) return absl::StrCat("-", HumanDuration(-span));
  if (span == absl::InfiniteDuration()) return "forever";
  const double seconds = absl::ToDoubleSeconds(span);
  if (seconds == 0) return "0 s";
  if (seconds < 0.001) return absl::StrFormat("%.0f us", seconds * 1e6);
  if (seconds < 0.9995) return absl::StrFormat("%.0f ms", seconds * 1e3);
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  if (seconds < 119.5) return absl::StrFormat("%.0f s", seconds);
  const int64_t minutes = std::llround(seconds / 60);
  if (minutes < 120) return absl::StrCat(minutes, " min");
  const int64_t hours = minutes / 60;
  if (hours < 10) {
    return minutes % 60 == 0 ? absl::StrCat(hours, " h")
                             : absl::StrCat(hours, " h ", minutes % 60, " min");
  }
  if (seconds < 47.5 * 3600) return absl::StrCat(std::llround(seconds / 3600), " h");
  return absl::StrCat(std::llround(seconds / 86400), " d");
}

std::string HumanBytes(double bytes) {
  constexpr absl::string_view kNames[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 1023.5 && unit + 1 < std::size(kNames)) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 || std::abs(bytes) >= 99.95 ? absl::StrFormat("%.0f %s", bytes, kNames[unit])
                                               : absl::StrFormat("%.1f %s", bytes, kNames[unit]);
}

std::string HumanPercent(double ratio) { return absl::StrFormat("%.1f %%", ratio * 100); }

}  // namespace fleet
