#include "agent/parse/mdstat.h"

#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/escape.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kArraysMax = 1024;
constexpr size_t kMembersMax = 4096;

absl::Status Bad(absl::string_view what, absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(what, " in ", Quote(text)));
}

std::vector<absl::string_view> Words(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipEmpty());
}

/// Reads "2/1" into two non-negative numbers.
template <typename T>
bool ParsePair(absl::string_view text, T& first, T& second) {
  const std::pair<absl::string_view, absl::string_view> halves =
      absl::StrSplit(text, absl::MaxSplits('/', 1));
  return absl::SimpleAtoi(halves.first, &first) && absl::SimpleAtoi(halves.second, &second) &&
         first >= 0 && second >= 0;
}

/// `vdb[1](W)(F)`.
absl::StatusOr<MdstatMember> ParseMember(absl::string_view word) {
  MdstatMember member;
  const size_t open = word.find('[');
  const size_t close = word.find(']', open);
  if (open == 0 || close == absl::string_view::npos ||
      !absl::SimpleAtoi(word.substr(open + 1, close - open - 1), &member.number) ||
      member.number < 0) {
    return Bad("no member", word);
  }
  member.name = std::string(word.substr(0, open));
  const absl::string_view flags = word.substr(close + 1);
  member.write_mostly = absl::StrContains(flags, "(W)");
  member.journal = absl::StrContains(flags, "(J)");
  member.faulty = absl::StrContains(flags, "(F)");
  member.spare = absl::StrContains(flags, "(S)");
  member.replacement = absl::StrContains(flags, "(R)");
  return member;
}

/// `md0 : active (read-only) raid1 vdb[1](F) vda[0]`.
absl::StatusOr<MdstatArray> ParseHeader(absl::string_view line) {
  const std::vector<absl::string_view> words = Words(line);
  if (words.size() < 3 || words[1] != ":") return Bad("no array", line);
  MdstatArray array;
  array.name = std::string(words[0]);
  array.state = std::string(words[2]);
  for (size_t i = 3; i < words.size(); ++i) {
    const absl::string_view word = words[i];
    if (word == "(read-only)") {
      array.read_only = true;
    } else if (word == "(auto-read-only)") {
      array.auto_read_only = true;
    } else if (absl::StrContains(word, '[')) {
      if (array.members.size() == kMembersMax) return Bad("too many members", line);
      FLEET_ASSIGN_OR_RETURN(MdstatMember member, ParseMember(word));
      array.members.push_back(std::move(member));
    } else if (array.level.empty() && !absl::StartsWith(word, "(")) {
      array.level = std::string(word);
    }
  }
  return array;
}

/// `97280 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [_UU]`.
absl::Status ParseBlocks(absl::string_view line, MdstatArray& array) {
  const std::vector<absl::string_view> words = Words(line);
  if (!absl::SimpleAtoi(words[0], &array.blocks) || array.blocks < 0) {
    return Bad("no number of blocks", line);
  }
  for (size_t i = 2; i < words.size(); ++i) {
    absl::string_view word = words[i];
    if (word == "super" && i + 1 < words.size()) {
      array.metadata = std::string(words[i + 1]);
      continue;
    }
    if (!absl::ConsumePrefix(&word, "[") || !absl::ConsumeSuffix(&word, "]")) continue;
    if (!word.empty() && word.find_first_not_of("U_") == absl::string_view::npos) {
      array.slots = std::string(word);
    } else if (absl::StrContains(word, '/')) {
      int required = 0;
      if (!ParsePair(word, required, array.disks_active)) return Bad("no disk counts", line);
      array.disks_required = required;
    }
  }
  return absl::OkStatus();
}

/// `[>...]  recovery =  2.0% (2048/97280) finish=0.7min speed=2048K/sec`.
absl::Status ParseSync(absl::string_view line, MdstatArray& array) {
  MdstatSync sync;
  const std::vector<absl::string_view> words = Words(line);
  if (words.size() < 2) return Bad("no sync action", line);
  sync.action = std::string(words[1]);
  bool counted = false;
  for (absl::string_view word : words) {
    if (absl::ConsumePrefix(&word, "(") && absl::ConsumeSuffix(&word, ")")) {
      counted = ParsePair(word, sync.done_blocks, sync.total_blocks);
    } else if (absl::ConsumePrefix(&word, "finish=")) {
      absl::ConsumeSuffix(&word, "min");
      if (!absl::SimpleAtod(word, &sync.finish_minutes) || !std::isfinite(sync.finish_minutes) ||
          sync.finish_minutes < 0) {
        return Bad("no finish time", line);
      }
    } else if (absl::ConsumePrefix(&word, "speed=")) {
      absl::ConsumeSuffix(&word, "K/sec");
      if (!absl::SimpleAtoi(word, &sync.speed_kib_per_second) || sync.speed_kib_per_second < 0) {
        return Bad("no speed", line);
      }
    }
  }
  if (!counted) return Bad("no progress", line);
  array.sync = std::move(sync);
  return absl::OkStatus();
}

/// One indented line below an array's.
absl::Status ParseDetail(absl::string_view line, MdstatArray& array) {
  absl::string_view text = absl::StripAsciiWhitespace(line);
  if (text.empty()) return absl::OkStatus();
  if (absl::ConsumePrefix(&text, "bitmap:")) {
    array.bitmap = std::string(absl::StripAsciiWhitespace(text));
  } else if (text[0] == '[') {
    return ParseSync(text, array);
  } else if (absl::StartsWith(text, "resync=") || absl::StartsWith(text, "recover=") ||
             absl::StartsWith(text, "reshape=")) {
    array.pending = std::string(text);
  } else if (const auto words = Words(text); words.size() >= 2 && words[1] == "blocks") {
    return ParseBlocks(text, array);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Mdstat> ParseMdstat(absl::string_view text) {
  Mdstat mdstat;
  bool known = false;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::ConsumePrefix(&line, "Personalities :")) {
      known = true;
      for (absl::string_view word : Words(line)) {
        if (absl::ConsumePrefix(&word, "[") && absl::ConsumeSuffix(&word, "]")) {
          mdstat.personalities.emplace_back(word);
        }
      }
    } else if (absl::StartsWith(line, "unused devices:")) {
      known = true;
    } else if (absl::ascii_isspace(static_cast<unsigned char>(line[0]))) {
      if (mdstat.arrays.empty()) continue;
      FLEET_RETURN_IF_ERROR(ParseDetail(line, mdstat.arrays.back()));
    } else {
      if (mdstat.arrays.size() == kArraysMax) return Bad("too many arrays", line);
      FLEET_ASSIGN_OR_RETURN(MdstatArray array, ParseHeader(line));
      mdstat.arrays.push_back(std::move(array));
    }
  }
  if (!known && mdstat.arrays.empty()) return Bad("neither personalities nor arrays", text);
  return mdstat;
}

}  // namespace fleet::agent
