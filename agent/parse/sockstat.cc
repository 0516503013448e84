#include "agent/parse/sockstat.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kFieldsMax = 1024;

}  // namespace

absl::StatusOr<std::vector<SockstatField>> ParseSockstat(absl::string_view text) {
  std::vector<SockstatField> fields;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const auto bad = [line](absl::string_view why) {
      return absl::InvalidArgumentError(absl::StrCat(why, " in ", Quote(line)));
    };
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || colon == 0) return bad("no protocol");
    absl::string_view name;
    for (const absl::string_view word :
         absl::StrSplit(line.substr(colon + 1), ' ', absl::SkipEmpty())) {
      if (name.empty()) {
        name = word;
        continue;
      }
      uint64_t value = 0;
      if (!absl::SimpleAtoi(word, &value)) return bad("bad number");
      if (fields.size() == kFieldsMax) return bad("too many fields");
      fields.push_back({std::string(line.substr(0, colon)), std::string(name), value});
      name = {};
    }
    if (!name.empty()) return bad("name without value");
  }
  return fields;
}

}  // namespace fleet::agent
