#include "agent/parse/tinc_hook.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/parse/tinc_config.h"

namespace fleet::agent {
namespace {

constexpr size_t kLinesMax = 100'000;
constexpr size_t kWordBytesMax = 255;
constexpr double kSinceBootSecondsMax = 1e10;

bool ParseLine(absl::string_view line, TincHookEvent& event) {
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  double since_boot_s = 0;
  int64_t time_s = 0;
  if (words.size() < 8 || (words[0] != "up" && words[0] != "down")) return false;
  for (const absl::string_view word : words) {
    if (word.empty() || word.size() > kWordBytesMax) return false;
  }
  if (!absl::SimpleAtod(words[2], &since_boot_s) || !(since_boot_s >= 0) ||
      since_boot_s > kSinceBootSecondsMax || !absl::SimpleAtoi(words[3], &time_s) ||
      !IsTincNodeName(words[6])) {
    return false;
  }
  event.up = words[0] == "up";
  event.boot_id = std::string(words[1]);
  // To the millisecond that is written: no rounding noise from the double.
  event.since_boot = absl::Milliseconds(std::llround(since_boot_s * 1000));
  event.time = absl::FromUnixSeconds(time_s);
  event.net = std::string(words[4]);
  event.interface = std::string(words[5]);
  event.node = std::string(words[6]);
  event.address = std::string(words[7]);
  return true;
}

std::string Word(absl::string_view text) {
  if (text.empty()) return "-";
  std::string word(text.substr(0, kWordBytesMax));
  for (char& c : word) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) c = '_';
  }
  return word;
}

}  // namespace

absl::StatusOr<TincHookState> ParseTincHook(absl::string_view text) {
  TincHookState state;
  size_t lines = 0;
  while (!text.empty()) {
    if (++lines > kLinesMax) {
      return absl::ResourceExhaustedError(absl::StrCat("more than ", kLinesMax, " lines"));
    }
    const size_t end = text.find('\n');
    TincHookEvent event;
    if (end != absl::string_view::npos && ParseLine(text.substr(0, end), event)) {
      state.events.push_back(std::move(event));
    } else {
      ++state.lines_bad;
    }
    if (end == absl::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return state;
}

std::string TincHookLine(const TincHookEvent& event) {
  return absl::StrFormat("%s %s %.3f %d %s %s %s %s\n", event.up ? "up" : "down",
                         Word(event.boot_id), absl::ToDoubleSeconds(event.since_boot),
                         absl::ToUnixSeconds(event.time), Word(event.net), Word(event.interface),
                         Word(event.node), Word(event.address));
}

}  // namespace fleet::agent
