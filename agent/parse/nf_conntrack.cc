#include "agent/parse/nf_conntrack.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr std::pair<absl::string_view, uint64_t ConntrackStat::*> kColumns[] = {
    {"found", &ConntrackStat::found},
    {"invalid", &ConntrackStat::invalid},
    {"ignore", &ConntrackStat::ignore},
    {"insert", &ConntrackStat::insert},
    {"insert_failed", &ConntrackStat::insert_failed},
    {"drop", &ConntrackStat::drop},
    {"early_drop", &ConntrackStat::early_drop},
    {"search_restart", &ConntrackStat::search_restart},
};

std::vector<absl::string_view> Words(absl::string_view line) {
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

}  // namespace

absl::StatusOr<ConntrackStat> ParseConntrackStat(absl::string_view text) {
  const size_t heading_size = std::min(text.find('\n'), text.size());
  const std::vector<absl::string_view> names = Words(text.substr(0, heading_size));
  std::vector<uint64_t ConntrackStat::*> fields(names.size(), nullptr);
  bool known = false;
  for (size_t i = 0; i < names.size(); ++i) {
    for (const auto& [name, field] : kColumns) {
      if (name == names[i]) fields[i] = field;
    }
    known = known || names[i] == "found";
  }
  if (!known) {
    return absl::InvalidArgumentError(
        absl::StrCat("no heading in ", Quote(text.substr(0, heading_size))));
  }

  ConntrackStat stat;
  for (const absl::string_view line :
       absl::StrSplit(text.substr(heading_size), '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = Words(line);
    if (words.size() != names.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected ", names.size(), " columns, got ", Quote(line)));
    }
    for (size_t i = 0; i < words.size(); ++i) {
      uint64_t value = 0;
      if (fields[i] == nullptr) continue;
      if (!absl::SimpleHexAtoi(words[i], &value)) {
        return absl::InvalidArgumentError(absl::StrCat("bad number ", Quote(words[i])));
      }
      stat.*fields[i] += value;
    }
  }
  return stat;
}

}  // namespace fleet::agent
