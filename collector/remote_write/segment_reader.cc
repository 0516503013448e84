#include "collector/remote_write/segment_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/segment/record.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// What is durable and cannot be decoded never will be, whatever the decoder calls it.
absl::Status Damaged(const absl::Status& why) {
  return why.ok() ? why : absl::DataLossError(why.message());
}

}  // namespace

SegmentReader::SegmentReader(const SegmentSource& source, LayoutPool& layouts, std::string host,
                             SegmentId id)
    : source_(source), host_(std::move(host)), id_(id), decoder_(&layouts) {}

absl::StatusOr<bool> SegmentReader::Next(absl::FunctionRef<void(const DecodedReport&)> sink) {
  if (bytes_.empty()) {
    FLEET_ASSIGN_OR_RETURN(bytes_, source_.ReadFrom(host_, id_, offset_));
    if (bytes_.empty()) return false;
  }
  absl::string_view rest = absl::string_view(bytes_).substr(decoded_);
  if (!decoder_.started()) {
    const absl::string_view header = rest.substr(0, kSegmentHeaderBytes);
    FLEET_RETURN_IF_ERROR(
        Damaged(decoder_.Feed(header, [](const DecodedReport&) { return absl::OkStatus(); })));
    if (decoder_.id() != id_) return absl::DataLossError("the header is another segment's");
    Consume(header.size());
    return Next(sink);
  }
  // One record at a time: whoever reads may have to stop between any two.
  absl::string_view payload;
  const absl::string_view before = rest;
  const absl::Status consumed = segment::ConsumeRecord(rest, id_, decoder_.next_index(),
                                                       SegmentLimits().record_bytes, payload);
  if (!consumed.ok()) {
    // What was read may have ended within a record.
    const size_t had = bytes_.size() - decoded_;
    FLEET_ASSIGN_OR_RETURN(std::string again, source_.ReadFrom(host_, id_, offset_ + decoded_));
    if (again.size() <= had) return Damaged(consumed);
    offset_ += decoded_;
    decoded_ = 0;
    bytes_ = std::move(again);
    return Next(sink);
  }
  const absl::string_view record = before.substr(0, before.size() - rest.size());
  FLEET_RETURN_IF_ERROR(Damaged(decoder_.Feed(record, [&sink](const DecodedReport& report) {
    sink(report);
    return absl::OkStatus();
  })));
  Consume(record.size());
  return true;
}

void SegmentReader::Consume(size_t bytes) {
  decoded_ += bytes;
  if (decoded_ < bytes_.size()) return;
  // Each host has a reader: none keeps what it is done with until more comes.
  offset_ += decoded_;
  decoded_ = 0;
  bytes_ = std::string();
}

}  // namespace fleet::collector
