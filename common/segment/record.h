#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/segment/segment.h"

namespace fleet::segment {

/// The first byte of a record's payload after the check's number.
inline constexpr uint8_t kFlagPositions = 0x03;  // a Positions
inline constexpr uint8_t kFlagLayout = 0x04;
inline constexpr uint8_t kFlagStatus = 0x08;
inline constexpr uint8_t kFlagInterval = 0x10;
inline constexpr uint8_t kFlagsKnown = 0x1F;

void PutHeader(const SegmentId& id, absl::Time created, std::string& out);

/// Takes the header off `bytes`.
/// Errors: kDataLoss when it is cut or damaged, kUnimplemented for another version.
absl::Status ConsumeHeader(absl::string_view& bytes, SegmentId& id, absl::Time& created);

/// Appends `payload` as the record with this index.
void PutRecord(const SegmentId& id, uint64_t index, absl::string_view payload, std::string& out);

/// Takes the record with this index off `bytes` and returns its payload. The checksum covers
/// segment and index, so a record is never taken for another.
/// Errors: kDataLoss when it is cut or damaged, kResourceExhausted beyond `size_max`.
absl::Status ConsumeRecord(absl::string_view& bytes, const SegmentId& id, uint64_t index,
                           size_t size_max, absl::string_view& payload);

/// Times are whole microseconds since 1970; beyond ±2^56 (2283 years) they are cut.
int64_t ToMicros(absl::Time time);
int64_t ToMicros(absl::Duration span);
bool IsSaneMicros(int64_t micros);

}  // namespace fleet::segment
