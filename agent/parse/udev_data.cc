#include "agent/parse/udev_data.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace fleet::agent {
namespace {

constexpr size_t kPropertiesMax = 1024;

}  // namespace

absl::string_view UdevData::Get(absl::string_view key) const {
  const auto found = properties.find(std::string(key));
  return found == properties.end() ? absl::string_view() : absl::string_view(found->second);
}

UdevData ParseUdevData(absl::string_view text) {
  UdevData data;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (!absl::ConsumePrefix(&line, "E:")) continue;
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (halves.first.size() == line.size()) continue;  // no '='
    if (data.properties.size() >= kPropertiesMax) break;
    data.properties[std::string(halves.first)] = std::string(halves.second);
  }
  return data;
}

}  // namespace fleet::agent
