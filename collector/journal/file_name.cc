#include "collector/journal/file_name.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/segment/record.h"

namespace fleet::collector {

std::string MakeSegmentName(const SegmentName& name) {
  return absl::StrFormat("%017d_%d_%016x_%d.seg", segment::ToMicros(name.created),
                         segment::ToMicros(name.offset), name.id.epoch, name.id.number);
}

std::optional<SegmentName> ParseSegmentName(absl::string_view text) {
  absl::string_view stem = text;
  if (!absl::ConsumeSuffix(&stem, ".seg")) return std::nullopt;
  const std::vector<absl::string_view> parts = absl::StrSplit(stem, '_');
  int64_t created = 0;
  int64_t offset = 0;
  SegmentName name;
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[0], &created) ||
      !absl::SimpleAtoi(parts[1], &offset) || !absl::SimpleHexAtoi(parts[2], &name.id.epoch) ||
      !absl::SimpleAtoi(parts[3], &name.id.number) || !segment::IsSaneMicros(created) ||
      !segment::IsSaneMicros(offset)) {
    return std::nullopt;
  }
  name.created = absl::FromUnixMicros(created);
  name.offset = absl::Microseconds(offset);
  // One file has one name: what is spelled otherwise is not ours.
  if (MakeSegmentName(name) != text) return std::nullopt;
  return name;
}

std::string MakeLogName(uint64_t number) { return absl::StrFormat("%012d.log", number); }

std::optional<uint64_t> ParseLogName(absl::string_view text) {
  absl::string_view stem = text;
  uint64_t number = 0;
  if (!absl::ConsumeSuffix(&stem, ".log") || !absl::SimpleAtoi(stem, &number) ||
      MakeLogName(number) != text) {
    return std::nullopt;
  }
  return number;
}

}  // namespace fleet::collector
