#include "common/segment/decoder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/segment/layout_code.h"
#include "common/segment/record.h"
#include "common/segment/status_code.h"
#include "common/segment/values.h"
#include "common/segment/wire.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

absl::Status Malformed(uint64_t index, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("record ", index, ": ", what));
}

}  // namespace

/// What is remembered of a check's previous report.
struct SegmentDecoder::Track {
  std::string check;
  segment::ColumnState columns;
  std::shared_ptr<const ReportStatus> status = std::make_shared<const ReportStatus>();
  std::shared_ptr<const Layout> layout = std::make_shared<const Layout>();
  std::shared_ptr<double[]> values;
  uint64_t layout_generation = 0;
  int64_t start_us = 0;
  int64_t duration_us = 0;
  int64_t interval_us = 0;

  absl::Span<double> span() { return {values.get(), layout->size()}; }
};

SegmentDecoder::SegmentDecoder(LayoutPool* pool, const SegmentLimits& limits)
    : pool_(pool), limits_(limits) {}
SegmentDecoder::~SegmentDecoder() = default;
SegmentDecoder::SegmentDecoder(SegmentDecoder&&) noexcept = default;
SegmentDecoder& SegmentDecoder::operator=(SegmentDecoder&&) noexcept = default;

absl::Status SegmentDecoder::Feed(absl::string_view records, Sink sink) {
  if (broken_) return absl::FailedPreconditionError("the segment was already found damaged");
  absl::Status status = FeedAll(records, sink);
  broken_ = !status.ok();
  return status;
}

absl::Status SegmentDecoder::FeedAll(absl::string_view records, Sink sink) {
  bytes_ += records.size();
  if (bytes_ > limits_.segment_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("segment of more than ", limits_.segment_bytes, " bytes"));
  }
  if (!started_) {
    FLEET_RETURN_IF_ERROR(segment::ConsumeHeader(records, id_, created_));
    started_ = true;
  }
  while (!records.empty()) {
    absl::string_view payload;
    FLEET_RETURN_IF_ERROR(
        segment::ConsumeRecord(records, id_, next_index_, limits_.record_bytes, payload));
    FLEET_RETURN_IF_ERROR(DecodeRecord(payload, sink));
  }
  return absl::OkStatus();
}

absl::Status SegmentDecoder::NewTrack(segment::Reader& in) {
  if (tracks_.size() >= limits_.checks) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", limits_.checks, " checks"));
  }
  const absl::string_view name = in.Text();
  if (!in.ok() || name.size() > limits_.name_bytes) {
    return Malformed(next_index_, "malformed name of a check");
  }
  for (const auto& track : tracks_) {
    if (track->check == name) return Malformed(next_index_, "a check is named twice");
  }
  auto track = std::make_unique<Track>();
  track->check = std::string(name);
  track->start_us = segment::ToMicros(created_);
  tracks_.push_back(std::move(track));
  return absl::OkStatus();
}

absl::Status SegmentDecoder::DecodeStatus(segment::Reader& in, Track& track) {
  auto status = std::make_shared<ReportStatus>();
  FLEET_RETURN_IF_ERROR(segment::GetStatus(in, *track.status, limits_, *status));
  items_ += status->items.size() - track.status->items.size();
  if (items_ > limits_.items_all) {
    return absl::ResourceExhaustedError(
        absl::StrCat(items_, " items of all checks, limit ", limits_.items_all));
  }
  track.status = std::move(status);
  return absl::OkStatus();
}

absl::Status SegmentDecoder::DecodeLayout(segment::Reader& in, Track& track) {
  Layout layout;
  segment::Origins origins;
  FLEET_RETURN_IF_ERROR(segment::GetLayout(in, *track.layout, limits_, layout, origins));
  series_ += layout.size() - track.layout->size();
  definition_bytes_ += layout.definition_bytes() - track.layout->definition_bytes();
  if (series_ > limits_.series_all || definition_bytes_ > limits_.definition_bytes_all) {
    return absl::ResourceExhaustedError(
        absl::StrCat(series_, " series of all checks in ", definition_bytes_, " bytes, limits ",
                     limits_.series_all, " and ", limits_.definition_bytes_all));
  }
  const std::vector<double> values = segment::MoveByOrigin<double>(track.span(), origins, 0.0);
  const std::vector<segment::Unit> units =
      segment::MoveByOrigin<segment::Unit>(track.columns.units, origins, segment::Unit{0});
  track.layout = pool_ != nullptr ? pool_->Intern(std::move(layout))
                                  : std::make_shared<const Layout>(std::move(layout));
  track.values = std::make_shared<double[]>(values.size());
  std::copy(values.begin(), values.end(), track.values.get());
  track.columns.Resize(units.size());
  track.columns.units = units;
  ++track.layout_generation;
  return absl::OkStatus();
}

absl::Status SegmentDecoder::DecodeRecord(absl::string_view payload, Sink sink) {
  segment::Reader in(payload);
  const uint64_t check = in.Varint();
  const uint8_t flags = in.Byte();
  if (!in.ok() || check > tracks_.size() || (flags & ~segment::kFlagsKnown) != 0) {
    return Malformed(next_index_, "unknown check or flag");
  }
  if (check == tracks_.size()) FLEET_RETURN_IF_ERROR(NewTrack(in));
  Track& track = *tracks_[check];

  const int64_t start_change = in.SignedVarint();
  const int64_t duration_change = in.SignedVarint();
  if (!segment::IsSaneMicros(start_change / 4) || !segment::IsSaneMicros(duration_change / 4)) {
    return Malformed(next_index_, "impossible time");
  }
  track.start_us += track.interval_us + start_change;
  track.duration_us += duration_change;
  if ((flags & segment::kFlagInterval) != 0) track.interval_us = in.SignedVarint();
  if (!in.ok() || !segment::IsSaneMicros(track.start_us) ||
      !segment::IsSaneMicros(track.duration_us) || !segment::IsSaneMicros(track.interval_us)) {
    return Malformed(next_index_, "impossible time");
  }
  if ((flags & segment::kFlagStatus) != 0) {
    FLEET_RETURN_IF_ERROR(DecodeStatus(in, track));
  }
  const auto positions = static_cast<segment::Positions>(flags & segment::kFlagPositions);
  if ((flags & segment::kFlagLayout) != 0) {
    FLEET_RETURN_IF_ERROR(DecodeLayout(in, track));
  } else if (positions != segment::Positions::kNone) {
    // A new block each time: the last one belongs to whoever keeps the newest report.
    const size_t size = track.layout->size();
    auto copy = std::make_shared_for_overwrite<double[]>(size);
    std::copy_n(track.values.get(), size, copy.get());
    track.values = std::move(copy);
  }
  if (!segment::DecodeValues(in, positions, track.columns, track.span()) || in.left() != 0) {
    return Malformed(next_index_, "malformed values");
  }
  DecodedReport report;
  report.segment = id_;
  report.index = next_index_++;
  report.check = track.check;
  report.start = absl::FromUnixMicros(track.start_us);
  report.duration = absl::Microseconds(track.duration_us);
  report.interval = absl::Microseconds(track.interval_us);
  report.status = track.status;
  report.layout = track.layout;
  report.layout_generation = track.layout_generation;
  report.block = track.values;
  return sink(report);
}

}  // namespace fleet
