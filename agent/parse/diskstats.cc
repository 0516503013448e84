#include "agent/parse/diskstats.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/parse/text.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kDevicesMax = 65536;
constexpr size_t kFieldsMin = 11;

bool ParseLine(absl::string_view line, DiskStats& stats) {
  if (!ParseInteger(NextWord(line), stats.major) || !ParseInteger(NextWord(line), stats.minor)) {
    return false;
  }
  stats.device = std::string(NextWord(line));
  while (stats.fields_size < DiskStats::kFieldsMax) {
    const absl::string_view word = NextWord(line);
    if (word.empty()) break;
    if (!ParseInteger(word, stats.fields[stats.fields_size++])) return false;
  }
  return stats.fields_size >= kFieldsMin;
}

}  // namespace

absl::StatusOr<std::vector<DiskStats>> ParseDiskStats(absl::string_view text) {
  std::vector<DiskStats> devices;
  absl::string_view line;
  while (NextLine(text, line)) {
    if (line.empty()) continue;
    DiskStats stats;
    if (devices.size() == kDevicesMax) {
      return absl::InvalidArgumentError(absl::StrCat("more than ", kDevicesMax, " devices"));
    }
    if (!ParseLine(line, stats)) {
      return absl::InvalidArgumentError(absl::StrCat("no block device in ", Quote(line)));
    }
    devices.push_back(std::move(stats));
  }
  return devices;
}

}  // namespace fleet::agent
