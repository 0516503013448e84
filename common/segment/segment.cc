#include "common/segment/segment.h"

#include "common/segment/record.h"

namespace fleet {

Report ToReport(const DecodedReport& decoded) {
  Report report;
  report.check = std::string(decoded.check);
  report.start = decoded.start;
  report.duration = decoded.duration;
  report.interval = decoded.interval;
  report.absent = decoded.status->absent;
  report.success = decoded.status->success;
  report.verdict = decoded.status->verdict;
  report.unknown = decoded.status->unknown;
  report.reason = decoded.status->reason;
  report.parent = decoded.status->parent;
  report.items = decoded.status->items;
  const Layout& layout = *decoded.layout;
  for (size_t i = 0; i < layout.size(); ++i) {
    report.samples.AddRaw(layout.family(i), layout.labels(i), decoded.values()[i]);
  }
  return report;
}

ScanResult ScanSegment(absl::string_view bytes) {
  ScanResult result;
  absl::string_view rest = bytes;
  if (const absl::Status header = segment::ConsumeHeader(rest, result.id, result.created);
      !header.ok()) {
    result.damage = std::string(header.message());
    return result;
  }
  result.header = true;
  absl::Status status;
  while (!rest.empty()) {
    absl::string_view payload;
    status = segment::ConsumeRecord(rest, result.id, result.reports, SegmentLimits().record_bytes,
                                    payload);
    if (!status.ok()) break;
    ++result.reports;
  }
  result.good_bytes = bytes.size() - rest.size();
  result.damage = std::string(status.message());
  return result;
}

}  // namespace fleet
