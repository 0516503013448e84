#include "common/segment/encoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/segment/layout_code.h"
#include "common/segment/record.h"
#include "common/segment/status_code.h"
#include "common/segment/values.h"
#include "common/segment/wire.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

using segment::PutText;
using segment::PutVarint;
using segment::ZigZag;

constexpr SegmentLimits kLimits;

absl::Status TooMuch(absl::string_view check, absl::string_view what, size_t size, size_t max) {
  return absl::ResourceExhaustedError(
      absl::StrCat("check ", Quote(check), " has ", size, " ", what, ", limit ", max));
}

/// An upper bound of what the definitions take unpacked.
size_t DefinitionBytes(const SampleSet& samples) {
  size_t bytes = 20;
  for (const SampleSet::Family& family : samples.families()) {
    bytes += family.name.size() + family.help.size() + 16;
  }
  for (const SampleSet::Series& series : samples.series()) bytes += series.labels_size + 16;
  return bytes;
}

size_t LongestText(const Report& report) {
  size_t size = std::max(report.reason.size(), report.parent.size());
  for (const Item& item : report.items) {
    size = std::max({size, item.name.size(), item.reason.size(), item.parent.size()});
  }
  return size;
}

/// Whether `report` says what `status` does, without copying it first.
bool SaysTheSame(const ReportStatus& status, const Report& report) {
  return status.absent == report.absent && status.success == report.success &&
         status.verdict == report.verdict && status.unknown == report.unknown &&
         status.reason == report.reason && status.parent == report.parent &&
         std::equal(status.items.begin(), status.items.end(), report.items.begin(),
                    report.items.end(), [](const Item& a, const Item& b) {
                      return a.verdict == b.verdict && a.unknown == b.unknown &&
                             a.reason == b.reason && a.parent == b.parent && a.name == b.name;
                    });
}

}  // namespace

/// What is remembered of a check's previous report.
struct SegmentEncoder::Track {
  std::string check;
  SampleSet samples;
  segment::ColumnState columns;
  ReportStatus status;
  size_t definition_bytes = 0;  // at most
  int64_t start_us = 0;
  int64_t duration_us = 0;
  int64_t interval_us = 0;
};

SegmentEncoder::SegmentEncoder(SegmentId id, absl::Time created)
    : id_(id), created_(absl::FromUnixMicros(segment::ToMicros(created))) {}
SegmentEncoder::~SegmentEncoder() = default;
SegmentEncoder::SegmentEncoder(SegmentEncoder&&) noexcept = default;
SegmentEncoder& SegmentEncoder::operator=(SegmentEncoder&&) noexcept = default;

bool SegmentEncoder::Full(absl::Time now) const {
  return bytes_ >= kSegmentBytesMax || now - created_ >= kSegmentAgeMax ||
         created_ - now >= kSegmentAgeMax;  // the clock was set back
}

absl::Status SegmentEncoder::CheckLimits(const Report& report, bool is_new) const {
  const SampleSet& samples = report.samples;
  if (is_new && tracks_.size() >= kLimits.checks) {
    return TooMuch(report.check, "checks before it", tracks_.size(), kLimits.checks);
  }
  if (report.check.size() > kLimits.name_bytes) {
    return TooMuch(report.check, "bytes of name", report.check.size(), kLimits.name_bytes);
  }
  if (samples.size() > kLimits.series) {
    return TooMuch(report.check, "series", samples.size(), kLimits.series);
  }
  if (samples.families().size() > kLimits.families) {
    return TooMuch(report.check, "families", samples.families().size(), kLimits.families);
  }
  if (report.items.size() > kLimits.items) {
    return TooMuch(report.check, "items", report.items.size(), kLimits.items);
  }
  if (const size_t size = LongestText(report); size > kLimits.text_bytes) {
    return TooMuch(report.check, "bytes in one text", size, kLimits.text_bytes);
  }
  return absl::OkStatus();
}

/// Whether all checks together fit when `track` (null: a new one) says what `report` says.
absl::Status SegmentEncoder::CheckTotals(const Report& report, const Track* track,
                                         size_t definition_bytes) const {
  const size_t series =
      series_ + report.samples.size() - (track == nullptr ? 0 : track->samples.size());
  if (series > kLimits.series_all) {
    return TooMuch(report.check, "series with all others", series, kLimits.series_all);
  }
  const size_t bytes =
      definition_bytes_ + definition_bytes - (track == nullptr ? 0 : track->definition_bytes);
  if (bytes > kLimits.definition_bytes_all) {
    return TooMuch(report.check, "bytes of definitions with all others", bytes,
                   kLimits.definition_bytes_all);
  }
  const size_t items =
      items_ + report.items.size() - (track == nullptr ? 0 : track->status.items.size());
  if (items > kLimits.items_all) {
    return TooMuch(report.check, "items with all others", items, kLimits.items_all);
  }
  return absl::OkStatus();
}

absl::Status SegmentEncoder::Append(const Report& report, std::string& out) {
  const auto found = check_ids_.find(report.check);
  const bool is_new = found == check_ids_.end();
  FLEET_RETURN_IF_ERROR(CheckLimits(report, is_new));
  const bool same_series = is_new ? report.samples.size() == 0
                                  : tracks_[found->second]->samples.SameSeries(report.samples);
  const Track* const before = is_new ? nullptr : tracks_[found->second].get();
  size_t definition_bytes = before == nullptr ? 0 : before->definition_bytes;
  if (!same_series) {
    definition_bytes = DefinitionBytes(report.samples);
    if (definition_bytes > kLimits.definition_bytes / 2) {
      return TooMuch(report.check, "bytes of definitions", definition_bytes,
                     kLimits.definition_bytes / 2);
    }
  }
  FLEET_RETURN_IF_ERROR(CheckTotals(report, before, definition_bytes));
  const size_t check = is_new ? tracks_.size() : found->second;
  if (is_new) {
    check_ids_.emplace(report.check, check);
    auto track = std::make_unique<Track>();
    track->check = report.check;
    track->start_us = segment::ToMicros(created_);
    tracks_.push_back(std::move(track));
  }
  Track& track = *tracks_[check];
  series_ += report.samples.size() - track.samples.size();
  items_ += report.items.size() - track.status.items.size();
  definition_bytes_ += definition_bytes - track.definition_bytes;
  track.definition_bytes = definition_bytes;
  WritePayload(report, check, is_new, same_series);
  const size_t start = out.size();
  if (next_index_ == 0) segment::PutHeader(id_, created_, out);
  segment::PutRecord(id_, next_index_, payload_, out);
  bytes_ += out.size() - start;
  ++next_index_;
  return absl::OkStatus();
}

void SegmentEncoder::WritePayload(const Report& report, size_t check, bool is_new,
                                  bool same_series) {
  Track& track = *tracks_[check];
  payload_.clear();
  PutVarint(check, payload_);
  const size_t flags_at = payload_.size();
  payload_.push_back(0);
  unsigned flags = 0;
  if (is_new) PutText(track.check, payload_);

  const int64_t start = segment::ToMicros(report.start);
  const int64_t duration = segment::ToMicros(report.duration);
  const int64_t interval = segment::ToMicros(report.interval);
  PutVarint(ZigZag(start - track.start_us - track.interval_us), payload_);
  PutVarint(ZigZag(duration - track.duration_us), payload_);
  if (interval != track.interval_us) {
    flags |= segment::kFlagInterval;
    PutVarint(ZigZag(interval), payload_);
  }
  track.start_us = start;
  track.duration_us = duration;
  track.interval_us = interval;

  if (!SaysTheSame(track.status, report)) {
    flags |= segment::kFlagStatus;
    ReportStatus status{report.absent, report.success, report.verdict, report.unknown,
                        report.reason, report.parent,  report.items};
    segment::PutStatus(track.status, status, payload_);
    track.status = std::move(status);
  }
  if (!same_series) {
    flags |= segment::kFlagLayout;
    const segment::Origins origins = segment::PutLayout(track.samples, report.samples, payload_);
    const std::vector<double> values =
        segment::MoveByOrigin<double>(track.samples.values(), origins, 0.0);
    const std::vector<segment::Unit> units =
        segment::MoveByOrigin<segment::Unit>(track.columns.units, origins, segment::Unit{0});
    track.samples = report.samples;
    track.columns.Resize(origins.size());
    track.columns.units = units;
    flags |= static_cast<unsigned>(
        segment::EncodeValues(values, report.samples.values(), track.columns, payload_));
  } else {
    flags |= static_cast<unsigned>(segment::EncodeValues(
        track.samples.values(), report.samples.values(), track.columns, payload_));
  }
  track.samples.SetValues(report.samples.values());
  payload_[flags_at] = static_cast<char>(flags);
}

}  // namespace fleet
