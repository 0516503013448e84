#include "common/segment/record.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/segment/wire.h"

namespace fleet::segment {
namespace {

constexpr absl::string_view kMagic = "fseg";
constexpr uint8_t kVersion = 1;
constexpr int64_t kMicrosMax = int64_t{1} << 56;

uint32_t RecordCrc(const SegmentId& id, uint64_t index, absl::string_view payload) {
  char place[24];
  const uint64_t words[] = {id.epoch, id.number, index};
  for (size_t i = 0; i < sizeof(place); ++i) {
    place[i] = static_cast<char>(words[i / 8] >> (8 * (i % 8)));
  }
  return Crc32c(payload, Crc32c({place, sizeof(place)}));
}

}  // namespace

void PutHeader(const SegmentId& id, absl::Time created, std::string& out) {
  std::string header(kMagic);
  header.push_back(static_cast<char>(kVersion));
  PutFixed<uint64_t>(id.epoch, header);
  PutFixed<uint64_t>(id.number, header);
  PutFixed<uint64_t>(static_cast<uint64_t>(ToMicros(created)), header);
  PutFixed<uint32_t>(Crc32c(header), header);
  out.append(header);
}

absl::Status ConsumeHeader(absl::string_view& bytes, SegmentId& id, absl::Time& created) {
  if (bytes.size() < kSegmentHeaderBytes) return absl::DataLossError("segment header is cut");
  Reader in(bytes.substr(0, kSegmentHeaderBytes));
  if (in.Bytes(kMagic.size()) != kMagic) return absl::DataLossError("not a segment");
  const uint8_t version = in.Byte();
  id.epoch = in.Fixed<uint64_t>();
  id.number = in.Fixed<uint64_t>();
  const auto micros = static_cast<int64_t>(in.Fixed<uint64_t>());
  if (in.Fixed<uint32_t>() != Crc32c(bytes.substr(0, kSegmentHeaderBytes - 4)) ||
      !IsSaneMicros(micros)) {
    return absl::DataLossError("segment header is damaged");
  }
  if (version != kVersion) {
    return absl::UnimplementedError(absl::StrCat("segment version ", version, " is not known"));
  }
  created = absl::FromUnixMicros(micros);
  bytes.remove_prefix(kSegmentHeaderBytes);
  return absl::OkStatus();
}

void PutRecord(const SegmentId& id, uint64_t index, absl::string_view payload, std::string& out) {
  PutVarint(payload.size(), out);
  PutFixed<uint32_t>(RecordCrc(id, index, payload), out);
  out.append(payload.data(), payload.size());
}

absl::Status ConsumeRecord(absl::string_view& bytes, const SegmentId& id, uint64_t index,
                           size_t size_max, absl::string_view& payload) {
  Reader in(bytes);
  const uint64_t size = in.Varint();
  const uint32_t crc = in.Fixed<uint32_t>();
  if (in.ok() && size > size_max) {
    return absl::ResourceExhaustedError(
        absl::StrCat("record ", index, " claims ", size, " bytes, limit ", size_max));
  }
  payload = in.Bytes(size);
  if (!in.ok()) return absl::DataLossError(absl::StrCat("record ", index, " is cut"));
  if (crc != RecordCrc(id, index, payload)) {
    return absl::DataLossError(absl::StrCat("record ", index, " is damaged"));
  }
  bytes.remove_prefix(static_cast<size_t>(in.at() - bytes.data()));
  return absl::OkStatus();
}

int64_t ToMicros(absl::Time time) {
  return std::clamp(absl::ToUnixMicros(time), -kMicrosMax, kMicrosMax);
}
int64_t ToMicros(absl::Duration span) {
  return std::clamp(absl::ToInt64Microseconds(span), -kMicrosMax, kMicrosMax);
}
bool IsSaneMicros(int64_t micros) { return micros >= -kMicrosMax && micros <= kMicrosMax; }

}  // namespace fleet::segment
