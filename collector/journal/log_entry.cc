#include "collector/journal/log_entry.h"

#include "absl/strings/str_cat.h"
#include "common/crc32c.h"
#include "common/segment/record.h"
#include "common/segment/wire.h"

namespace fleet::collector {
namespace {

using segment::PutFixed;
using segment::PutVarint;
using segment::Reader;

constexpr absl::string_view kMagic = "flog";
constexpr uint8_t kVersion = 1;
constexpr uint8_t kFlagLast = 0x01;
constexpr uint8_t kFlagFirst = 0x02;  // created and offset are there
constexpr uint8_t kFlagsKnown = 0x03;
constexpr size_t kPrefixBytes = 8;  // size and checksum
constexpr size_t kHostBytesMax = 255;
constexpr size_t kRecordBytesMin = 5;  // a length and a checksum

}  // namespace

void PutLogHeader(uint64_t number, std::string& out) {
  std::string header(kMagic);
  header.push_back(static_cast<char>(kVersion));
  PutFixed<uint64_t>(number, header);
  PutFixed<uint32_t>(Crc32c(header), header);
  out.append(header);
}

absl::Status ConsumeLogHeader(absl::string_view& bytes, uint64_t number) {
  std::string expected;
  PutLogHeader(number, expected);
  if (bytes.substr(0, expected.size()) != expected) {
    return absl::DataLossError("the log's header is cut, damaged or another log's");
  }
  bytes.remove_prefix(expected.size());
  return absl::OkStatus();
}

void PutLogEntry(const LogEntry& entry, std::string& out) {
  const size_t start = out.size();
  out.append(kPrefixBytes, '\0');
  segment::PutText(entry.host, out);
  PutFixed<uint64_t>(entry.id.epoch, out);
  PutVarint(entry.id.number, out);
  PutVarint(entry.first_index, out);
  PutVarint(entry.count, out);
  const bool first = entry.first_index == 0;
  out.push_back(static_cast<char>((entry.last ? kFlagLast : 0) | (first ? kFlagFirst : 0)));
  if (first) {
    PutVarint(segment::ZigZag(segment::ToMicros(entry.created)), out);
    PutVarint(segment::ZigZag(segment::ToMicros(entry.offset)), out);
  }
  out.append(entry.data.data(), entry.data.size());
  const absl::string_view body = absl::string_view(out).substr(start + kPrefixBytes);
  std::string prefix;
  PutFixed<uint32_t>(static_cast<uint32_t>(body.size()), prefix);
  // The size is in the checksum: a wrong one must not find a body that happens to be right.
  PutFixed<uint32_t>(Crc32c(body, Crc32c(prefix)), prefix);
  out.replace(start, kPrefixBytes, prefix);
}

absl::Status ConsumeLogEntry(absl::string_view& bytes, LogEntry& entry) {
  Reader prefix(bytes);
  const auto size = prefix.Fixed<uint32_t>();
  const auto crc = prefix.Fixed<uint32_t>();
  const absl::string_view body = prefix.Bytes(size);
  if (!prefix.ok() || size > kLogEntryBytesMax) return absl::DataLossError("an entry is cut");
  if (crc != Crc32c(body, Crc32c(bytes.substr(0, 4)))) {
    return absl::DataLossError("an entry is damaged");
  }
  Reader in(body);
  LogEntry read;
  read.host = in.Text();
  read.id.epoch = in.Fixed<uint64_t>();
  read.id.number = in.Varint();
  read.first_index = in.Varint();
  read.count = in.Varint();
  const uint8_t flags = in.Byte();
  read.last = (flags & kFlagLast) != 0;
  bool sane = (flags & ~kFlagsKnown) == 0 && read.host.size() <= kHostBytesMax;
  sane = sane && ((flags & kFlagFirst) != 0) == (read.first_index == 0);
  sane = sane && read.end() >= read.first_index;
  if ((flags & kFlagFirst) != 0) {
    const int64_t created = in.SignedVarint();
    const int64_t offset = in.SignedVarint();
    sane = sane && segment::IsSaneMicros(created) && segment::IsSaneMicros(offset);
    read.created = absl::FromUnixMicros(created);
    read.offset = absl::Microseconds(offset);
  }
  sane = sane && read.count <= in.left() / kRecordBytesMin;
  if (!in.ok() || !sane) return absl::DataLossError("an entry says what cannot be");
  read.data = absl::string_view(in.at(), in.left());
  entry = read;
  bytes.remove_prefix(kPrefixBytes + size);
  return absl::OkStatus();
}

absl::Status RecordsFrom(const LogEntry& entry, uint64_t from, absl::string_view& records) {
  records = entry.data;
  if (from <= entry.first_index) return absl::OkStatus();
  Reader in(entry.data);
  if (entry.first_index == 0) in.Bytes(kSegmentHeaderBytes);
  for (uint64_t index = entry.first_index; index < from && in.ok(); ++index) {
    const uint64_t size = in.Varint();
    in.Fixed<uint32_t>();
    in.Bytes(size);
  }
  if (!in.ok()) return absl::DataLossError("an entry has fewer records than it says");
  records = absl::string_view(in.at(), in.left());
  return absl::OkStatus();
}

}  // namespace fleet::collector
