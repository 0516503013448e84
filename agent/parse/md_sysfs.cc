#include "agent/parse/md_sysfs.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

absl::Status Bad(absl::string_view expected, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat("expected ", expected, ", got ", Quote(text)));
}

}  // namespace

absl::StatusOr<MdSyncCompleted> ParseMdSyncCompleted(absl::string_view text) {
  const absl::string_view value = absl::StripAsciiWhitespace(text);
  MdSyncCompleted sync;
  if (value == "none") return sync;
  if (value == "delayed") {
    sync.delayed = true;
    return sync;
  }
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(value, absl::MaxSplits('/', 1));
  if (!absl::SimpleAtoi(halves.first, &sync.done_sectors) ||
      !absl::SimpleAtoi(halves.second, &sync.total_sectors) || sync.done_sectors < 0 ||
      sync.total_sectors < sync.done_sectors) {
    return Bad("sectors done / total", text);
  }
  return sync;
}

absl::StatusOr<MdRaidDisks> ParseMdRaidDisks(absl::string_view text) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  MdRaidDisks disks;
  if (words.empty()) return disks;
  bool good = absl::SimpleAtoi(words[0], &disks.disks) && disks.disks >= 0 && words.size() <= 2;
  if (good && words.size() == 2) {
    absl::string_view before = words[1];
    int count = 0;
    good = absl::ConsumePrefix(&before, "(") && absl::ConsumeSuffix(&before, ")") &&
           absl::SimpleAtoi(before, &count) && count >= 0;
    disks.before = count;
  }
  if (!good) return Bad("a number of disks", text);
  return disks;
}

MdMemberState ParseMdMemberState(absl::string_view text) {
  MdMemberState state;
  const std::pair<absl::string_view, bool*> known[] = {
      {"in_sync", &state.in_sync},
      {"faulty", &state.faulty},
      {"spare", &state.spare},
      {"journal", &state.journal},
      {"write_mostly", &state.write_mostly},
      {"blocked", &state.blocked},
      {"write_error", &state.write_error},
      {"want_replacement", &state.want_replacement},
      {"replacement", &state.replacement},
  };
  for (const absl::string_view word : absl::StrSplit(absl::StripAsciiWhitespace(text), ',')) {
    for (const auto& [name, flag] : known) *flag = *flag || word == name;
  }
  return state;
}

absl::StatusOr<int> ParseMdBadBlocks(absl::string_view text) {
  int ranges = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(absl::StripAsciiWhitespace(line), absl::MaxSplits(' ', 1));
    uint64_t number = 0;
    if (!absl::SimpleAtoi(halves.first, &number) || !absl::SimpleAtoi(halves.second, &number)) {
      return Bad("start and length of bad blocks", line);
    }
    ++ranges;
  }
  return ranges;
}

absl::StatusOr<std::optional<int64_t>> ParseMdNumber(absl::string_view text) {
  const absl::string_view value = absl::StripAsciiWhitespace(text);
  if (value == "none" || value == "max") return std::optional<int64_t>();
  uint64_t number = 0;
  if (!absl::SimpleAtoi(value, &number) || number > INT64_MAX) return Bad("a number", text);
  return std::optional<int64_t>(static_cast<int64_t>(number));
}

}  // namespace fleet::agent
