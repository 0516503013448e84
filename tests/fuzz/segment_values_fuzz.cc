// Encoder against decoder: whatever the values, they come back to the last bit.
#include <bit>
#include <cstring>
#include <vector>

#include "common/segment/values.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace segment = fleet::segment;
  if (size == 0) return 0;
  // A column of 1 to 200 series; each next value is the last one, or eight bytes of input, or a
  // whole number or decimal made of them.
  const size_t series = 1 + data[0] % 200;
  size_t at = 1;
  std::vector<double> before(series);
  std::vector<double> decoded(series);
  segment::ColumnState encoder;
  segment::ColumnState decoder;
  encoder.Resize(series);
  decoder.Resize(series);
  while (at < size) {
    std::vector<double> after = before;
    for (size_t i = 0; i < series && at + 9 <= size; ++i) {
      const uint8_t kind = data[at++];
      if (kind % 4 == 0) continue;
      uint64_t bits = 0;
      std::memcpy(&bits, data + at, 8);
      at += 8;
      const auto whole = static_cast<double>(static_cast<int64_t>(bits) >> (kind % 64));
      after[i] = kind % 4 == 1 ? std::bit_cast<double>(bits) : kind % 4 == 2 ? whole : whole / 1000;
    }
    if (at + 9 > size) at = size;
    std::string bytes;
    const segment::Positions positions = segment::EncodeValues(before, after, encoder, bytes);
    segment::Reader in(bytes);
    FLEET_ASSERT(segment::DecodeValues(in, positions, decoder, absl::MakeSpan(decoded)));
    FLEET_ASSERT(in.left() == 0);
    FLEET_ASSERT(std::memcmp(decoded.data(), after.data(), series * sizeof(double)) == 0);
    FLEET_ASSERT(encoder.units == decoder.units && encoder.changed == decoder.changed);
    before = std::move(after);
  }
  return 0;
}
