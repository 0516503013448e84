#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/segment/wire.h"

/// The few pieces of protobuf's wire format that a remote-write request needs.
namespace fleet::collector::proto {

enum WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2 };

using segment::PutVarint;

/// Field numbers up to 15.
inline void PutTag(uint8_t field, WireType type, std::string& out) {
  out.push_back(static_cast<char>(field << 3 | type));
}

inline constexpr size_t VarintBytes(uint64_t value) {
  size_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

/// Bytes of a string or message of `size` bytes as a field.
inline constexpr size_t TextFieldBytes(size_t size) { return 1 + VarintBytes(size) + size; }

inline void PutText(uint8_t field, absl::string_view text, std::string& out) {
  PutTag(field, kBytes, out);
  PutVarint(text.size(), out);
  out.append(text.data(), text.size());
}

}  // namespace fleet::collector::proto
