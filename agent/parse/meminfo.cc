#include "agent/parse/meminfo.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kFieldsMax = 512;
constexpr size_t kNameBytesMax = 64;

/// "Active(anon)" → "Active_anon"; false when that is no part of a metric name.
bool AppendName(absl::string_view field, std::string& name) {
  if (field.empty() || field.size() > kNameBytesMax) return false;
  for (const char c : field) {
    if (c == ')') continue;
    if (c != '(' && c != '_' && !absl::ascii_isalnum(static_cast<unsigned char>(c))) return false;
    name.push_back(c == '(' ? '_' : c);
  }
  return !name.empty();
}

}  // namespace

absl::StatusOr<NamedValues> ParseMeminfo(absl::string_view text) {
  NamedValues values;
  values.Reserve(64, 1280);
  std::string name;
  absl::string_view line;
  while (NextLine(text, line)) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) continue;
    name.clear();
    if (!AppendName(line.substr(0, colon), name)) continue;
    absl::string_view rest = line.substr(colon + 1);
    uint64_t number = 0;
    if (!ParseInteger(NextWord(rest), number)) {
      return absl::InvalidArgumentError(absl::StrCat("no number in ", Quote(line)));
    }
    if (values.size() == kFieldsMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kFieldsMax, " fields"));
    }
    // A unit is always "kB", and always means KiB.
    const bool has_unit = !NextWord(rest).empty();
    if (has_unit) name += "_bytes";
    values.Add(name, static_cast<double>(number) * (has_unit ? 1024 : 1));
  }
  if (values.size() == 0) return absl::InvalidArgumentError("no field");
  return values;
}

}  // namespace fleet::agent
