#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/segment/segment.h"

namespace fleet::segment {
class Reader;
}

namespace fleet {

/// Reads one segment, fed in pieces of whole records. Input may be hostile: it is checked in full,
/// bounded by SegmentLimits, and costs no more memory than a constant times its size. Not
/// thread-safe.
class SegmentDecoder {
 public:
  using Sink = absl::FunctionRef<absl::Status(const DecodedReport&)>;

  /// With `pool`, layouts are shared with the pool's other decoders; it must outlive this.
  explicit SegmentDecoder(LayoutPool* pool = nullptr, const SegmentLimits& limits = {});
  ~SegmentDecoder();
  SegmentDecoder(SegmentDecoder&&) noexcept;
  SegmentDecoder& operator=(SegmentDecoder&&) noexcept;

  /// Decodes `records`, the first piece starting with the segment's header, and gives each report
  /// to `sink`.
  /// Errors: kDataLoss for a damaged or cut record, kInvalidArgument for a whole record that no
  /// encoder writes, kResourceExhausted beyond a limit, kFailedPrecondition after an earlier
  /// error, and what `sink` returned. Reports before the error were given to `sink`.
  absl::Status Feed(absl::string_view records, Sink sink);

  /// Whether the header was read; before that `id` and `created` mean nothing.
  bool started() const { return started_; }
  const SegmentId& id() const { return id_; }
  absl::Time created() const { return created_; }
  uint64_t next_index() const { return next_index_; }

 private:
  struct Track;

  absl::Status FeedAll(absl::string_view records, Sink sink);
  absl::Status DecodeRecord(absl::string_view payload, Sink sink);
  absl::Status NewTrack(segment::Reader& in);
  absl::Status DecodeLayout(segment::Reader& in, Track& track);
  absl::Status DecodeStatus(segment::Reader& in, Track& track);

  LayoutPool* pool_;
  SegmentLimits limits_;
  bool started_ = false;
  bool broken_ = false;
  SegmentId id_;
  absl::Time created_;
  uint64_t next_index_ = 0;
  size_t bytes_ = 0;
  size_t series_ = 0;  // of all tracks
  size_t definition_bytes_ = 0;
  size_t items_ = 0;
  std::vector<std::unique_ptr<Track>> tracks_;
};

}  // namespace fleet
