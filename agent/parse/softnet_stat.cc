#include "agent/parse/softnet_stat.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr size_t kCpuColumn = 12;

}  // namespace

absl::StatusOr<std::vector<SoftnetStat>> ParseSoftnetStat(absl::string_view text) {
  std::vector<SoftnetStat> stats;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    SoftnetStat stat;
    stat.cpu = static_cast<uint32_t>(stats.size());
    uint64_t* const numbers[] = {&stat.processed, &stat.dropped, &stat.times_squeezed};
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    bool good = words.size() >= std::size(numbers);
    for (size_t i = 0; good && i < std::size(numbers); ++i) {
      good = absl::SimpleHexAtoi(words[i], numbers[i]);
    }
    if (good && words.size() > kCpuColumn) good = absl::SimpleHexAtoi(words[kCpuColumn], &stat.cpu);
    if (!good) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected hexadecimal counters, got ", Quote(line)));
    }
    stats.push_back(stat);
  }
  return stats;
}

}  // namespace fleet::agent
