#include <algorithm>
#include <bit>

#include "common/segment/decoder.h"
#include "common/segment/encoder.h"
#include "common/segment/record.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

/// Decodes `bytes`; each report is encoded again, by an encoder of our own, and must come back the
/// same to the last bit.
void DecodeAndAgree(absl::string_view bytes) {
  SegmentDecoder decoder;
  SegmentEncoder encoder({1, 2}, absl::UnixEpoch());
  SegmentDecoder second;
  uint64_t reports = 0;
  const absl::Status status = decoder.Feed(bytes, [&](const DecodedReport& report) {
    FLEET_ASSERT(report.index == reports++);
    std::string again;
    if (!encoder.Append(ToReport(report), again).ok()) return absl::OkStatus();
    const absl::Status agreed = second.Feed(again, [&](const DecodedReport& other) {
      FLEET_ASSERT(other.check == report.check && other.start == report.start);
      FLEET_ASSERT(other.duration == report.duration && other.interval == report.interval);
      FLEET_ASSERT(other.reason() == report.reason() && other.parent() == report.parent());
      FLEET_ASSERT(other.items().size() == report.items().size());
      FLEET_ASSERT(other.layout->size() == report.layout->size());
      for (size_t i = 0; i < report.layout->size(); ++i) {
        FLEET_ASSERT(other.layout->labels(i) == report.layout->labels(i));
        FLEET_ASSERT(other.layout->family(i).name == report.layout->family(i).name);
        FLEET_ASSERT(std::bit_cast<uint64_t>(other.values()[i]) ==
                     std::bit_cast<uint64_t>(report.values()[i]));
      }
      return absl::OkStatus();
    });
    FLEET_ASSERT(agreed.ok());
    return absl::OkStatus();
  });
  const ScanResult scan = ScanSegment(bytes);
  FLEET_ASSERT(scan.good_bytes <= bytes.size() && scan.reports >= reports);
  if (status.ok()) FLEET_ASSERT(scan.damage.empty() && scan.reports == reports);
}

}  // namespace
}  // namespace fleet

/// The first byte chooses: 0 takes the rest as a segment as it is; else the rest are payloads, each
/// after its size in two bytes, put into a segment whose lengths and checksums are right, because
/// a fuzzer does not find those.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0) {
    fleet::DecodeAndAgree(rest);
    return 0;
  }
  const fleet::SegmentId id{7, 3};
  std::string segment;
  fleet::segment::PutHeader(id, absl::FromUnixSeconds(1'700'000'000), segment);
  for (uint64_t index = 0; rest.size() > 2; ++index) {
    const size_t wanted = static_cast<unsigned char>(rest[0]) |
                          static_cast<size_t>(static_cast<unsigned char>(rest[1])) << 8;
    rest.remove_prefix(2);
    const absl::string_view payload = rest.substr(0, std::min(wanted, rest.size()));
    rest.remove_prefix(payload.size());
    fleet::segment::PutRecord(id, index, payload, segment);
  }
  fleet::DecodeAndAgree(segment);
  return 0;
}
