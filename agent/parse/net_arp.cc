#include "agent/parse/net_arp.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kDevicesMax = 65536;
constexpr size_t kDeviceColumn = 5;

}  // namespace

absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> CountArpEntries(
    absl::string_view text) {
  std::vector<std::pair<std::string, uint64_t>> counts;
  bool heading = true;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (heading) {
      heading = false;
      continue;
    }
    absl::string_view device;
    size_t column = 0;
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      if (column++ < kDeviceColumn) continue;
      device = word;
      break;
    }
    if (device.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("expected six columns, got ", Quote(line)));
    }
    // Neighbours come grouped by nothing, but hosts have few devices: the last one first.
    const auto found = std::find_if(counts.rbegin(), counts.rend(),
                                    [device](const auto& count) { return count.first == device; });
    if (found != counts.rend()) {
      ++found->second;
      continue;
    }
    if (counts.size() == kDevicesMax) return absl::InvalidArgumentError("too many devices");
    counts.emplace_back(std::string(device), 1);
  }
  return counts;
}

}  // namespace fleet::agent
