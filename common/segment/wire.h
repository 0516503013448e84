#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

namespace fleet::segment {

/// LEB128, least significant seven bits first.
inline void PutVarint(uint64_t value, std::string& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

/// As PutVarint into a buffer with at least 10 bytes of room; returns the end. Up to eight bytes
/// are made at once: how long numbers are is not to be guessed, and each wrong guess of the CPU
/// would cost more than all of this.
inline char* PutVarint(uint64_t value, char* out) {
  if (value >= uint64_t{1} << 56) {
    while (value >= 0x80) {
      *out++ = static_cast<char>(value | 0x80);
      value >>= 7;
    }
    *out++ = static_cast<char>(value);
    return out;
  }
  const int bits = 64 - std::countl_zero(value | 1);
  const int size = (bits * 37 + 222) >> 8;  // bits / 7, rounded up, for 1..56
  // Seven bits to each byte: halves, then quarters, then eighths.
  uint64_t bytes = (value & 0x000000000FFFFFFF) | (value & 0x00FFFFFFF0000000) << 4;
  bytes = (bytes & 0x00003FFF00003FFF) | (bytes & 0x0FFFC0000FFFC000) << 2;
  bytes = (bytes & 0x007F007F007F007F) | (bytes & 0x3F803F803F803F80) << 1;
  bytes |= 0x8080808080808080 & ((uint64_t{1} << (8 * (size - 1))) - 1);
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(out, &bytes, sizeof(bytes));
  } else {
    for (size_t i = 0; i < sizeof(bytes); ++i) out[i] = static_cast<char>(bytes >> (8 * i));
  }
  return out + size;
}

inline uint64_t ZigZag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
inline int64_t UnZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

inline void PutText(absl::string_view text, std::string& out) {
  PutVarint(text.size(), out);
  out.append(text.data(), text.size());
}

/// Little-endian, as every fixed number of the format.
template <typename T>
void PutFixed(T value, std::string& out) {
  for (size_t i = 0; i < sizeof(T); ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

/// Reads what the functions above wrote. After the first thing that does not fit, `ok()` stays
/// false and everything reads as zero or empty, so a caller may check once at the end of a part.
class Reader {
 public:
  explicit Reader(absl::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool ok() const { return ok_; }
  size_t left() const { return static_cast<size_t>(end_ - at_); }
  const char* at() const { return at_; }

  uint64_t Varint() {
    if (at_ < end_ && static_cast<signed char>(*at_) >= 0) return static_cast<uint64_t>(*at_++);
    return LongVarint();
  }
  int64_t SignedVarint() { return UnZigZag(Varint()); }

  uint8_t Byte() {
    if (at_ == end_) return Fail<uint8_t>();
    return static_cast<uint8_t>(*at_++);
  }

  template <typename T>
  T Fixed() {
    if (left() < sizeof(T)) return Fail<T>();
    T value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) {
      value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(at_[i])) << (8 * i));
    }
    at_ += sizeof(T);
    return value;
  }

  absl::string_view Bytes(uint64_t size) {
    if (size > left()) {
      Fail<int>();
      return {};
    }
    const absl::string_view bytes(at_, static_cast<size_t>(size));
    at_ += size;
    return bytes;
  }
  absl::string_view Text() { return Bytes(Varint()); }

 private:
  template <typename T>
  T Fail() {
    ok_ = false;
    at_ = end_;
    return T{};
  }

  uint64_t LongVarint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && at_ < end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at_++);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return Fail<uint64_t>();
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace fleet::segment
