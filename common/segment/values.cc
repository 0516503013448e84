#include "common/segment/values.h"

#include <array>
#include <bit>
#include <cmath>

#include "absl/container/inlined_vector.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace fleet::segment {
namespace {

/// By unit: what a value is multiplied with to become its mantissa.
constexpr std::array<double, kUnitBinaryMax + 1> MakeMultipliers() {
  std::array<double, kUnitBinaryMax + 1> table = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  double power = 1;
  for (size_t unit = kUnitDecimalMax + 1; unit < table.size(); ++unit) table[unit] = power /= 2;
  return table;
}
constexpr std::array<double, kUnitBinaryMax + 1> kMultipliers = MakeMultipliers();

// Exact integers end at 2^53. A decimal's mantissa ends at 2^50: below it, multiplying the double
// by its power of ten and rounding gives the mantissa back, so it need not be remembered.
constexpr double kIntegerMax = 9007199254740992.0;
constexpr double kMantissaMax = 1125899906842624.0;

double MantissaMax(Unit unit) {
  return unit == 0 || unit > kUnitDecimalMax ? kIntegerMax : kMantissaMax;
}

int64_t Round(double value) { return static_cast<int64_t>(value < 0 ? value - 0.5 : value + 0.5); }

/// The mantissa of a value known to be representable.
int64_t ToMantissa(double value, Unit unit) {
  return unit == 0 ? static_cast<int64_t>(value) : Round(value * kMultipliers[unit]);
}

double FromMantissa(int64_t mantissa, Unit unit) {
  const double number = static_cast<double>(mantissa);
  return unit == 0 ? number : number / kMultipliers[unit];
}

bool SameBits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

/// Whether `value` is exactly `mantissa` in `unit`.
bool Represent(double value, Unit unit, int64_t& mantissa) {
  const double scaled = value * kMultipliers[unit];
  if (!(std::abs(scaled) <= MantissaMax(unit))) return false;  // NaN too
  mantissa = unit == 0 ? static_cast<int64_t>(scaled) : Round(scaled);
  return SameBits(FromMantissa(mantissa, unit), value);
}

/// The unit in which `value` is shortest.
Unit FindUnit(double value, int64_t& mantissa) {
  if (Represent(value, 0, mantissa)) {
    if (mantissa == 0) return 0;
    // Pages and kilobytes: counted as such they are one or two bytes shorter.
    const int zeros = std::countr_zero(static_cast<uint64_t>(mantissa));
    const int shift = zeros >= 12 ? 12 : zeros >= 10 ? 10 : 0;
    mantissa >>= shift;
    return static_cast<Unit>(shift == 0 ? 0 : kUnitDecimalMax + shift);
  }
  if (!std::isfinite(value) || value == 0) return kUnitRaw;
  // Fifteen digits hold every decimal that a double can tell apart from its neighbours.
  const int digits = static_cast<int>(std::floor(std::log10(std::abs(value)))) + 1;
  int unit = std::min<int>(15 - digits, kUnitDecimalMax);
  if (unit < 1 || !Represent(value, static_cast<Unit>(unit), mantissa)) return kUnitRaw;
  while (unit > 0 && mantissa % 10 == 0) {
    mantissa /= 10;
    --unit;
  }
  // Both spellings are the nearest double to the same decimal.
  return static_cast<Unit>(unit);
}

/// One changed value. At a unit of its own, a delta is never zero, so zero is the escape.
char* EncodeValue(double before, double after, Unit& unit, char* out) {
  int64_t mantissa = 0;
  // Whole numbers, the most of all, without the general way's multiplications.
  if (unit == 0 && before != 0 && std::abs(after) <= kIntegerMax) {
    mantissa = static_cast<int64_t>(after);
    if (SameBits(static_cast<double>(mantissa), after)) {
      return PutVarint(ZigZag(mantissa - static_cast<int64_t>(before)), out);
    }
  }
  if (unit != kUnitRaw && before != 0 && Represent(after, unit, mantissa)) {
    return PutVarint(ZigZag(mantissa - ToMantissa(before, unit)), out);
  }
  const Unit found = FindUnit(after, mantissa);
  if (found != kUnitRaw && found == unit) {
    return PutVarint(ZigZag(mantissa - ToMantissa(before, unit)), out);
  }
  if (found == kUnitRaw) {
    if (unit != kUnitRaw) {
      *out++ = 0;
      *out++ = static_cast<char>(kUnitRaw);
      unit = kUnitRaw;
    }
    const uint64_t bits = std::bit_cast<uint64_t>(before) ^ std::bit_cast<uint64_t>(after);
    const int tail = std::countr_zero(bits) / 8;
    const int size = 8 - std::countl_zero(bits) / 8 - tail;
    *out++ = static_cast<char>(size | tail << 4);
    const uint64_t shifted = bits >> (8 * tail);
    for (int i = 0; i < size; ++i) *out++ = static_cast<char>(shifted >> (8 * i));
    return out;
  }
  *out++ = 0;
  *out++ = static_cast<char>(found);
  unit = found;
  return PutVarint(ZigZag(mantissa), out);
}

bool DecodeRaw(Reader& in, uint8_t control, double& value) {
  const unsigned size = control & 15;
  const unsigned tail = control >> 4;
  if (size == 0 || size + tail > 8) return false;
  const absl::string_view bytes = in.Bytes(size);
  if (!in.ok()) return false;
  uint64_t bits = 0;
  for (unsigned i = 0; i < size; ++i) {
    bits |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  value = std::bit_cast<double>(std::bit_cast<uint64_t>(value) ^ (bits << (8 * tail)));
  return true;
}

bool SetMantissa(int64_t mantissa, Unit unit, double& value) {
  if (!(std::abs(static_cast<double>(mantissa)) <= MantissaMax(unit))) return false;
  value = FromMantissa(mantissa, unit);
  return true;
}

bool DecodeEscape(Reader& in, Unit& unit, double& value) {
  unit = in.Byte();
  if (unit == kUnitRaw) return DecodeRaw(in, in.Byte(), value);
  if (unit > kUnitBinaryMax) return false;
  return SetMantissa(in.SignedVarint(), unit, value);
}

bool DecodeValue(Reader& in, Unit& unit, double& value) {
  if (unit == kUnitRaw) {
    const uint8_t control = in.Byte();
    return control == 0 ? DecodeEscape(in, unit, value) : DecodeRaw(in, control, value);
  }
  const uint64_t token = in.Varint();
  if (token == 0) return DecodeEscape(in, unit, value);
  const int64_t delta = UnZigZag(token);
  if (!(std::abs(static_cast<double>(delta)) <= 2 * kIntegerMax)) return false;
  return SetMantissa(ToMantissa(value, unit) + delta, unit, value);
}

size_t PopCount(absl::Span<const uint64_t> words) {
  size_t count = 0;
  for (const uint64_t word : words) count += static_cast<size_t>(std::popcount(word));
  return count;
}

/// Collects what is written piece by piece: appending to a string checks and ends it each time.
class Buffered {
 public:
  /// The longest piece is an escape with a full mantissa: 2 + 10 bytes.
  static constexpr size_t kRoom = 16;

  explicit Buffered(std::string& out) : out_(out) {}
  ~Buffered() { Flush(); }
  Buffered(const Buffered&) = delete;
  Buffered& operator=(const Buffered&) = delete;

  /// `write` puts up to kRoom bytes where it is told and returns the end.
  template <typename Write>
  void Put(Write write) {
    end_ = write(end_);
    if (end_ > buffer_.data() + buffer_.size() - kRoom) Flush();
  }

 private:
  void Flush() {
    out_.append(buffer_.data(), static_cast<size_t>(end_ - buffer_.data()));
    end_ = buffer_.data();
  }

  std::string& out_;
  std::array<char, 64 * kRoom> buffer_;
  char* end_ = buffer_.data();
};

/// Which of up to 64 values have other bits, one bit each.
uint64_t Changed(const double* before, const double* after, size_t count) {
  uint64_t mask = 0;
  size_t i = 0;
#if defined(__SSE2__)
  // Four at a time: a double is the same when both of its halves are.
  for (; i + 4 <= count; i += 4) {
    const auto same = [&](size_t at) {
      return _mm_castsi128_ps(_mm_cmpeq_epi32(_mm_castpd_si128(_mm_loadu_pd(before + at)),
                                              _mm_castpd_si128(_mm_loadu_pd(after + at))));
    };
    const __m128 first = same(i);
    const __m128 second = same(i + 2);
    const __m128 both = _mm_and_ps(_mm_shuffle_ps(first, second, _MM_SHUFFLE(2, 0, 2, 0)),
                                   _mm_shuffle_ps(first, second, _MM_SHUFFLE(3, 1, 3, 1)));
    mask |= static_cast<uint64_t>(_mm_movemask_ps(both) ^ 0xF) << i;
  }
#endif
  for (; i < count; ++i) mask |= static_cast<uint64_t>(!SameBits(before[i], after[i])) << i;
  return mask;
}

template <typename Visit>
void ForEachBit(absl::Span<const uint64_t> words, Visit visit) {
  for (size_t i = 0; i < words.size(); ++i) {
    for (uint64_t word = words[i]; word != 0; word &= word - 1) {
      visit(i * 64 + static_cast<size_t>(std::countr_zero(word)));
    }
  }
}

void PutGaps(absl::Span<const uint64_t> words, size_t count, std::string& out) {
  PutVarint(count, out);
  Buffered buffer(out);
  size_t next = 0;
  ForEachBit(words, [&](size_t i) {
    buffer.Put([gap = i - next](char* end) { return PutVarint(gap, end); });
    next = i + 1;
  });
}

Positions PutPositions(absl::Span<const uint64_t> mask, absl::Span<const uint64_t> difference,
                       size_t size, std::string& out) {
  const size_t gaps = PopCount(mask);
  if (gaps == 0) return Positions::kNone;
  const size_t difference_gaps = PopCount(difference);
  const size_t bitmap = (size + 7) / 8;
  if (difference_gaps < gaps && difference_gaps < bitmap) {
    PutGaps(difference, difference_gaps, out);
    return Positions::kGapsOfDifference;
  }
  if (gaps < bitmap) {
    PutGaps(mask, gaps, out);
    return Positions::kGaps;
  }
  for (size_t i = 0; i < bitmap; ++i) {
    out.push_back(static_cast<char>(mask[i / 8] >> (8 * (i % 8))));
  }
  return Positions::kBitmap;
}

bool GetGaps(Reader& in, size_t size, absl::Span<uint64_t> mask) {
  const uint64_t count = in.Varint();
  if (count > size) return false;
  uint64_t next = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t gap = in.Varint();
    if (gap >= size - next) return false;
    next += gap;
    mask[next / 64] ^= uint64_t{1} << (next % 64);
    ++next;
    if (next >= size && i + 1 < count) return false;
  }
  return in.ok();
}

bool GetPositions(Reader& in, Positions positions, size_t size, absl::Span<uint64_t> mask) {
  if (positions != Positions::kGapsOfDifference) {
    for (uint64_t& word : mask) word = 0;
  }
  if (positions == Positions::kNone) return true;
  if (positions != Positions::kBitmap) return GetGaps(in, size, mask);
  const absl::string_view bytes = in.Bytes((size + 7) / 8);
  if (!in.ok()) return false;
  for (size_t i = 0; i < bytes.size(); ++i) {
    mask[i / 8] |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * (i % 8));
  }
  return size % 64 == 0 || mask.empty() || mask.back() >> (size % 64) == 0;
}

}  // namespace

Positions EncodeValues(absl::Span<const double> before, absl::Span<const double> after,
                       ColumnState& state, std::string& out) {
  const size_t size = after.size();
  absl::InlinedVector<uint64_t, 64> difference(state.changed.size());
  for (size_t word = 0; word < difference.size(); ++word) {
    const size_t begin = word * 64;
    const size_t count = std::min<size_t>(64, size - begin);
    const uint64_t mask = Changed(before.data() + begin, after.data() + begin, count);
    difference[word] = mask ^ state.changed[word];
    state.changed[word] = mask;
  }
  const Positions positions = PutPositions(state.changed, difference, size, out);
  Buffered buffer(out);
  ForEachBit(state.changed, [&](size_t i) {
    buffer.Put([&](char* end) { return EncodeValue(before[i], after[i], state.units[i], end); });
  });
  return positions;
}

bool DecodeValues(Reader& in, Positions positions, ColumnState& state, absl::Span<double> values) {
  if (!GetPositions(in, positions, values.size(), absl::MakeSpan(state.changed))) return false;
  bool ok = true;
  ForEachBit(state.changed,
             [&](size_t i) { ok = ok && DecodeValue(in, state.units[i], values[i]); });
  return ok && in.ok();
}

}  // namespace fleet::segment
