#include "collector/journal/catalog.h"

#include "common/crc32c.h"
#include "common/segment/record.h"
#include "common/segment/wire.h"

namespace fleet::collector {
namespace {

constexpr absl::string_view kMagic = "fcat";
constexpr uint8_t kVersion = 1;
constexpr size_t kCrcBytes = 4;

bool GetFile(segment::Reader& in, HostFiles::File& file) {
  const int64_t created = in.SignedVarint();
  const int64_t offset = in.SignedVarint();
  file.name.id.epoch = in.Fixed<uint64_t>();
  file.name.id.number = in.Varint();
  file.reports = in.Varint();
  file.bytes = in.Varint();
  file.name.created = absl::FromUnixMicros(created);
  file.name.offset = absl::Microseconds(offset);
  return in.ok() && segment::IsSaneMicros(created) && segment::IsSaneMicros(offset);
}

}  // namespace

void PutCatalogHeader(uint64_t hosts, std::string& out) {
  out.append(kMagic.data(), kMagic.size());
  out.push_back(static_cast<char>(kVersion));
  segment::PutVarint(hosts, out);
}

void PutCatalogHost(absl::string_view name, absl::Time heard, const HostRegistry& registry,
                    std::string& out) {
  segment::PutText(name, out);
  segment::PutVarint(segment::ZigZag(segment::ToMicros(heard)), out);
  registry.Put(out);
}

void PutCatalogEnd(std::string& out) { segment::PutFixed<uint32_t>(Crc32c(out), out); }

absl::StatusOr<std::vector<CatalogHost>> ParseCatalog(absl::string_view bytes) {
  const absl::Status bad = absl::DataLossError("the catalog is damaged");
  if (bytes.size() < kMagic.size() + 1 + kCrcBytes) return bad;
  const absl::string_view body = bytes.substr(0, bytes.size() - kCrcBytes);
  segment::Reader end(bytes.substr(body.size()));
  segment::Reader in(body);
  if (end.Fixed<uint32_t>() != Crc32c(body) || in.Bytes(kMagic.size()) != kMagic ||
      in.Byte() != kVersion) {
    return bad;
  }
  std::vector<CatalogHost> hosts;
  const uint64_t count = in.Varint();
  for (uint64_t i = 0; i < count; ++i) {
    CatalogHost& host = hosts.emplace_back();
    host.name = std::string(in.Text());
    host.heard = absl::FromUnixMicros(in.SignedVarint());
    if (!in.ok() || !host.registry.Get(in)) return bad;
    const uint64_t files = in.Varint();
    for (uint64_t k = 0; k < files; ++k) {
      if (!GetFile(in, host.files.emplace_back())) return bad;
    }
  }
  if (!in.ok() || in.left() != 0) return bad;
  return hosts;
}

}  // namespace fleet::collector
