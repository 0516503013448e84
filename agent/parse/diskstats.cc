#include "agent/parse/diskstats.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kDevicesMax = 65536;
constexpr size_t kFieldsMin = 11;

bool ParseLine(absl::string_view line, DiskStats& stats) {
  size_t column = 0;
  for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
    bool good = true;
    switch (column++) {
      case 0:
        good = absl::SimpleAtoi(word, &stats.major);
        break;
      case 1:
        good = absl::SimpleAtoi(word, &stats.minor);
        break;
      case 2:
        stats.device = std::string(word);
        break;
      default:
        if (stats.fields_size == DiskStats::kFieldsMax) return true;
        good = absl::SimpleAtoi(word, &stats.fields[stats.fields_size++]);
    }
    if (!good) return false;
  }
  return stats.fields_size >= kFieldsMin;
}

}  // namespace

absl::StatusOr<std::vector<DiskStats>> ParseDiskStats(absl::string_view text) {
  std::vector<DiskStats> devices;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
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
