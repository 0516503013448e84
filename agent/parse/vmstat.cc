#include "agent/parse/vmstat.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kFieldsMax = 64;

bool MayBeWanted(absl::string_view line) {
  return absl::StartsWith(line, "p") || absl::StartsWith(line, "o");
}

bool Wanted(absl::string_view name) {
  const bool wanted = absl::StartsWith(name, "oom_kill") || absl::StartsWith(name, "pgpg") ||
                      absl::StartsWith(name, "pswp") ||
                      (absl::StartsWith(name, "pg") && absl::StrContains(name.substr(2), "fault"));
  return wanted && std::all_of(name.begin(), name.end(), [](char c) {
           return c == '_' || absl::ascii_isalnum(static_cast<unsigned char>(c));
         });
}

}  // namespace

absl::StatusOr<NamedValues> ParseVmstat(absl::string_view text) {
  NamedValues values;
  values.Reserve(16, 192);
  absl::string_view line;
  while (NextLine(text, line)) {
    // Most of some 190 lines are left out by their first letter already.
    if (!MayBeWanted(line)) continue;
    absl::string_view rest = line;
    const absl::string_view name = NextWord(rest);
    if (!Wanted(name)) continue;
    uint64_t number = 0;
    if (!ParseInteger(NextWord(rest), number)) {
      return absl::InvalidArgumentError(absl::StrCat("no number in ", Quote(line)));
    }
    if (values.size() == kFieldsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kFieldsMax, " fields"));
    }
    values.Add(name, static_cast<double>(number));
  }
  return values;
}

}  // namespace fleet::agent
