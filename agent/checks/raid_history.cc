#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/checks/raid_judge.h"

namespace fleet::agent {
namespace {

constexpr int kSlotsMax = 4096;

/// Serials come from hardware: whatever would break the line is replaced.
std::string Plain(absl::string_view text) {
  std::string plain(text.substr(0, 128));
  for (char& c : plain) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c)) || c == '|') c = '?';
  }
  return plain;
}

std::string TimeText(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return "-";
  return absl::StrCat(absl::ToUnixSeconds(time));
}

absl::Time TimeOf(absl::string_view text, absl::Time otherwise) {
  int64_t seconds = 0;
  return absl::SimpleAtoi(text, &seconds) ? absl::FromUnixSeconds(seconds) : otherwise;
}

}  // namespace

std::string FormatRaidHistory(const RaidHistory& history) {
  std::string text = absl::StrCat(
      Plain(history.name), "|", Plain(history.level), "|", TimeText(history.first_seen), "|",
      TimeText(history.pending_since), "|", TimeText(history.last_check));
  for (const auto& [slot, was] : history.slots) {
    absl::StrAppend(&text, "|", slot, "|", Plain(was.device), "|", Plain(was.serial));
  }
  return text;
}

RaidHistory ParseRaidHistory(absl::string_view text) {
  const std::vector<absl::string_view> fields = absl::StrSplit(text, '|');
  if (fields.size() < 5) return {};
  RaidHistory history;
  history.name = std::string(fields[0]);
  history.level = std::string(fields[1]);
  history.first_seen = TimeOf(fields[2], absl::InfinitePast());
  history.pending_since = TimeOf(fields[3], absl::InfiniteFuture());
  history.last_check = TimeOf(fields[4], absl::InfinitePast());
  for (size_t i = 5; i + 2 < fields.size(); i += 3) {
    int slot = 0;
    if (!absl::SimpleAtoi(fields[i], &slot) || slot < 0 || slot >= kSlotsMax) return {};
    history.slots[slot] = {std::string(fields[i + 1]), std::string(fields[i + 2])};
  }
  return history;
}

}  // namespace fleet::agent
