#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/segment/segment.h"

/// Names of the journal's files. Pure.
namespace fleet::collector {

/// What the name of a host's segment file says; the file itself is the agent's segment, byte by
/// byte.
struct SegmentName {
  SegmentId id;
  absl::Time created;     // by the collector's clock, whole microseconds
  absl::Duration offset;  // from the host's clock to the collector's, whole microseconds
  bool operator==(const SegmentName&) const = default;
};

/// "01800000000000000_-1500000_00000000000000ff_12.seg": created and offset in microseconds, epoch
/// in hex, number. Names sort by creation.
std::string MakeSegmentName(const SegmentName& name);
/// Nothing for a name that MakeSegmentName does not make.
std::optional<SegmentName> ParseSegmentName(absl::string_view text);

/// "000000000012.log".
std::string MakeLogName(uint64_t number);
std::optional<uint64_t> ParseLogName(absl::string_view text);

}  // namespace fleet::collector
