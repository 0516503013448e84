#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "collector/segment_source.h"
#include "common/segment/decoder.h"

namespace fleet::collector {

/// Reads one stored segment report by report, and goes on where it stopped when more is durable.
/// Not thread-safe.
class SegmentReader {
 public:
  SegmentReader(const SegmentSource& source, LayoutPool& layouts, std::string host, SegmentId id);

  /// Gives the next report to `sink`. False when nothing more is durable now.
  /// Errors for good: kNotFound when retention took the segment, kDataLoss when it is damaged.
  /// Others are of reading and may pass; the next call goes on at the same place.
  absl::StatusOr<bool> Next(absl::FunctionRef<void(const DecodedReport&)> sink);

  const SegmentId& id() const { return id_; }
  /// The index that the next report has.
  uint64_t next_index() const { return decoder_.next_index(); }

 private:
  /// The first `bytes` of those not yet decoded have been.
  void Consume(size_t bytes);

  const SegmentSource& source_;
  const std::string host_;
  const SegmentId id_;
  SegmentDecoder decoder_;
  std::string bytes_;    // durable and not yet decoded
  size_t decoded_ = 0;   // of bytes_
  uint64_t offset_ = 0;  // of bytes_ in the segment
};

}  // namespace fleet::collector
