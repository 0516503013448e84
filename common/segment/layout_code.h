#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/segment/layout.h"
#include "common/segment/segment.h"
#include "common/segment/wire.h"

namespace fleet::segment {

/// For each entry of a new list the index of the old entry it is, or kNew. The old indexes only
/// grow, so nothing is taken twice.
inline constexpr uint32_t kNew = UINT32_MAX;
using Origins = std::vector<uint32_t>;

/// Appends the layout of `samples` as changes to that of `before`. Returns where each of its series
/// comes from.
Origins PutLayout(const SampleSet& before, const SampleSet& samples, std::string& out);

/// Reads it back. Errors: kInvalidArgument, kResourceExhausted.
absl::Status GetLayout(Reader& in, const Layout& before, const SegmentLimits& limits,
                       Layout& layout, Origins& origins);

/// Moves what is remembered of each series to its place in the new layout; `fresh` where it is new.
template <typename T>
std::vector<T> MoveByOrigin(absl::Span<const T> before, const Origins& origins, T fresh) {
  std::vector<T> after(origins.size(), fresh);
  for (size_t i = 0; i < origins.size(); ++i) {
    if (origins[i] != kNew) after[i] = before[origins[i]];
  }
  return after;
}

}  // namespace fleet::segment
