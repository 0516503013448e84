#include "collector/updown/time_text.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "common/escape.h"

namespace fleet::collector {
namespace {

constexpr int64_t kUnixSecondsMax = 253'402'300'799;  // the end of the year 9999
constexpr size_t kUnixDigitsMin = 6;                  // fewer are a year

absl::Status Unreadable(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("expected a time, not ", Quote(text)));
}

/// Takes between `least` and `most` digits from the front.
bool TakeDigits(absl::string_view& text, size_t least, size_t most, int& value) {
  size_t count = 0;
  value = 0;
  while (count < most && count < text.size() &&
         absl::ascii_isdigit(static_cast<unsigned char>(text[count]))) {
    value = value * 10 + (text[count] - '0');
    ++count;
  }
  if (count < least) return false;
  text.remove_prefix(count);
  return true;
}

/// ":30", ":30:15", ":30:15.123" after the hour.
bool TakeMinutes(absl::string_view& text, int& minute, int& second) {
  if (!absl::ConsumePrefix(&text, ":") || !TakeDigits(text, 2, 2, minute)) return false;
  if (!absl::ConsumePrefix(&text, ":")) return true;
  if (!TakeDigits(text, 2, 2, second)) return false;
  if (!absl::ConsumePrefix(&text, ".")) return true;
  size_t digits = 0;  // finer than anybody here counts
  while (digits < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[digits]))) {
    ++digits;
  }
  text.remove_prefix(digits);
  return digits > 0;
}

/// All that is left: how far the zone is ahead of UTC.
bool ReadZone(absl::string_view text, absl::Duration& ahead) {
  const bool blank = absl::ConsumePrefix(&text, " ");
  if (text.empty() || text == "Z" || text == "z" || text == "UTC" || text == "GMT") return true;
  int sign = 1;
  if (absl::ConsumePrefix(&text, "-")) {
    sign = -1;
  } else if (!absl::ConsumePrefix(&text, "+") && !blank) {
    return false;
  }
  int hours = 0;
  int minutes = 0;
  if (!TakeDigits(text, 2, 2, hours)) return false;
  absl::ConsumePrefix(&text, ":");
  if (!text.empty() && !TakeDigits(text, 2, 2, minutes)) return false;
  if (!text.empty() || hours > 14 || minutes > 59) return false;
  ahead = sign * (absl::Hours(hours) + absl::Minutes(minutes));
  return true;
}

}  // namespace

std::string FormatApiTime(absl::Time time) {
  const absl::CivilSecond at = absl::ToCivilSecond(time, absl::UTCTimeZone());
  const auto two = [](int value) { return absl::Dec(value, absl::kZeroPad2); };
  return absl::StrCat(absl::Dec(at.year(), absl::kZeroPad4), "-", two(at.month()), "-",
                      two(at.day()), "T", two(at.hour()), ":", two(at.minute()), ":",
                      two(at.second()), "Z");
}

absl::StatusOr<absl::Time> ParseApiTime(absl::string_view given) {
  absl::string_view text = absl::StripAsciiWhitespace(given);
  int64_t seconds = 0;
  if (text.size() >= kUnixDigitsMin && absl::SimpleAtoi(text, &seconds)) {
    if (seconds < 0 || seconds > kUnixSecondsMax) return Unreadable(given);
    return absl::FromUnixSeconds(seconds);
  }
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!TakeDigits(text, 4, 4, year) || !absl::ConsumePrefix(&text, "-") ||
      !TakeDigits(text, 2, 2, month) || !absl::ConsumePrefix(&text, "-") ||
      !TakeDigits(text, 2, 2, day)) {
    return Unreadable(given);
  }
  absl::Duration ahead;
  if (!text.empty()) {
    const bool separated = absl::ConsumePrefix(&text, "T") || absl::ConsumePrefix(&text, "t") ||
                           absl::ConsumePrefix(&text, " ");
    if (!separated || !TakeDigits(text, 2, 2, hour) || !TakeMinutes(text, minute, second) ||
        !ReadZone(text, ahead)) {
      return Unreadable(given);
    }
  }
  const absl::CivilSecond civil(year, month, day, hour, minute, second);
  // What does not exist (the 31st of April, 25:00) would come out as another moment.
  const bool exists = civil.month() == month && civil.day() == day && civil.hour() == hour &&
                      civil.minute() == minute && (civil.second() == second || second == 60);
  if (!exists || year < 1970) return Unreadable(given);
  return absl::FromCivil(civil, absl::UTCTimeZone()) - ahead;
}

}  // namespace fleet::collector
