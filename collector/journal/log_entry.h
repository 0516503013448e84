#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/segment/segment.h"

/// The entries of the journal's log; docs/segment.md specifies them. Pure.
namespace fleet::collector {

/// Whole records of one segment, as they came. The views are the reader's.
struct LogEntry {
  absl::string_view host;
  SegmentId id;
  uint64_t first_index = 0;
  uint64_t count = 0;
  bool last = false;  // the segment ends here
  /// Of the entry with the segment's first report only: when the segment was created, by the
  /// collector's clock, and what leads from the host's clock to it.
  absl::Time created = absl::UnixEpoch();
  absl::Duration offset;
  absl::string_view data;  // from the segment's header on when first_index is 0

  uint64_t end() const { return first_index + count; }
};

inline constexpr size_t kLogHeaderBytes = 17;
/// No entry is longer: a message of an agent and what names it.
inline constexpr size_t kLogEntryBytesMax = (256 << 20) + 4096;

/// What a log file starts with.
void PutLogHeader(uint64_t number, std::string& out);
/// Takes the header off `bytes`. Errors: kDataLoss when it is not that of log `number`.
absl::Status ConsumeLogHeader(absl::string_view& bytes, uint64_t number);

void PutLogEntry(const LogEntry& entry, std::string& out);
/// Takes one entry off `bytes`. Errors: kDataLoss when it is cut or damaged; then `bytes` is as it
/// was.
absl::Status ConsumeLogEntry(absl::string_view& bytes, LogEntry& entry);

/// The records of `entry` from index `from` on (the header with those from 0).
/// Errors: kDataLoss when the records are not as many as the entry says.
absl::Status RecordsFrom(const LogEntry& entry, uint64_t from, absl::string_view& records);

}  // namespace fleet::collector
