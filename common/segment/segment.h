#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/report.h"
#include "common/segment/layout.h"

/// The one format of wire, spool and journal; docs/segment.md specifies it.
namespace fleet {

/// Names a segment: `epoch` is random per start of an agent process, `number` counts from 0 in it.
struct SegmentId {
  uint64_t epoch = 0;
  uint64_t number = 0;
  auto operator<=>(const SegmentId&) const = default;

  template <typename H>
  friend H AbslHashValue(H h, const SegmentId& id) {
    return H::combine(std::move(h), id.epoch, id.number);
  }
};

/// A segment is full at either bound; then its writer starts the next.
inline constexpr size_t kSegmentBytesMax = 1 << 20;
inline constexpr absl::Duration kSegmentAgeMax = absl::Hours(1);

/// What one segment may hold at most. An encoder refuses a report beyond them; a decoder, input.
struct SegmentLimits {
  size_t segment_bytes = 16 << 20;  // a decoder reads no further
  size_t record_bytes = 4 << 20;
  size_t checks = 256;
  size_t name_bytes = 128;            // of a check
  size_t series = 20'000;             // of one check
  size_t families = 4'096;            // of one check
  size_t definition_bytes = 4 << 20;  // families and labels of one check, unpacked
  size_t items = 4'096;               // of one check
  size_t text_bytes = 4'096;          // of one name, reason or parent
  // Of the newest reports of all checks together: what a decoder holds at one time.
  size_t series_all = 100'000;
  size_t definition_bytes_all = 16 << 20;
  size_t items_all = 16'384;
};

/// What a report says in words; shared by all reports of a check until it changes.
struct ReportStatus {
  bool absent = false;
  bool success = true;
  Verdict verdict = Verdict::kOk;
  UnknownKind unknown = UnknownKind::kNone;
  std::string reason;
  std::string parent;
  std::vector<Item> items;
};

/// One report as it comes out of a segment. The views are valid during the call only; the three
/// shared parts may be kept, and are the same object as long as nothing in them changed.
struct DecodedReport {
  SegmentId segment;
  uint64_t index = 0;  // within the segment
  absl::string_view check;
  absl::Time start;  // whole microseconds
  absl::Duration duration;
  absl::Duration interval;
  std::shared_ptr<const ReportStatus> status;
  std::shared_ptr<const Layout> layout;
  /// Grows each time this check's layout changes within the segment.
  uint64_t layout_generation = 0;
  /// layout->size() values. Never changed again: the next report with a change has its own.
  std::shared_ptr<const double[]> block;

  absl::Span<const double> values() const { return {block.get(), layout->size()}; }
  bool absent() const { return status->absent; }
  bool success() const { return status->success; }
  Verdict verdict() const { return status->verdict; }
  UnknownKind unknown() const { return status->unknown; }
  absl::string_view reason() const { return status->reason; }
  absl::string_view parent() const { return status->parent; }
  absl::Span<const Item> items() const { return status->items; }
};

/// Copies a decoded report into one of its own: for history, export and tests.
Report ToReport(const DecodedReport& decoded);

/// What a scan of a segment's bytes found.
struct ScanResult {
  SegmentId id;  // valid when header is
  absl::Time created;
  bool header = false;    // the header is whole
  size_t good_bytes = 0;  // header and whole records before the first damage
  uint64_t reports = 0;   // records in good_bytes
  std::string damage;     // in words; empty when good_bytes is all there is
};

/// Walks header, lengths and checksums, without decoding: what is left of a torn file.
ScanResult ScanSegment(absl::string_view bytes);

/// Bytes of a segment's header, which precedes its first record.
inline constexpr size_t kSegmentHeaderBytes = 33;

}  // namespace fleet
