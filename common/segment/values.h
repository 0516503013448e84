#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/segment/wire.h"

namespace fleet::segment {

/// How the numbers of one series are written, chosen by the encoder for each series and changed by
/// an escape: 0..22 is a decimal, mantissa / 10^unit; 22 + k, k in 1..40, is mantissa * 2^k;
/// kUnitRaw is the eight bytes of the double.
using Unit = uint8_t;
inline constexpr Unit kUnitDecimalMax = 22;
inline constexpr Unit kUnitBinaryMax = 62;
inline constexpr Unit kUnitRaw = 63;

/// One column of values with what encoder and decoder must both remember of it besides the values
/// themselves: 1 byte and 1 bit per series.
struct ColumnState {
  std::vector<Unit> units;
  std::vector<uint64_t> changed;  // which changed in the last report, one bit per series

  void Resize(size_t size) {
    units.resize(size);
    changed.assign((size + 63) / 64, 0);
  }
};

/// How the positions of the changed values are written.
enum class Positions : uint8_t { kNone = 0, kGaps = 1, kBitmap = 2, kGapsOfDifference = 3 };

/// Appends what leads from `before` to `after` (of equal size) and updates `state`. NaNs,
/// infinities and the sign of zero are kept. Returns how the positions were written: it goes into
/// the record's flags.
Positions EncodeValues(absl::Span<const double> before, absl::Span<const double> after,
                       ColumnState& state, std::string& out);

/// Changes `values` in place by what EncodeValues wrote. False for what it cannot have written.
bool DecodeValues(Reader& in, Positions positions, ColumnState& state, absl::Span<double> values);

}  // namespace fleet::segment
