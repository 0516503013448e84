#include <algorithm>

#include "collector/journal/catalog.h"
#include "collector/journal/file_name.h"
#include "collector/journal/log_entry.h"
#include "common/crc32c.h"
#include "common/segment/wire.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

/// What can be read must be written back to the same bytes.
void ReadEntries(absl::string_view bytes) {
  LogEntry entry;
  while (true) {
    const absl::string_view before = bytes;
    if (!ConsumeLogEntry(bytes, entry).ok()) {
      FLEET_ASSERT(bytes.size() == before.size());
      return;
    }
    FLEET_ASSERT(entry.end() >= entry.first_index && entry.count <= before.size());
    std::string again;
    PutLogEntry(entry, again);
    absl::string_view rest = again;
    LogEntry read;
    FLEET_ASSERT(ConsumeLogEntry(rest, read).ok() && rest.empty());
    FLEET_ASSERT(read.data == entry.data && read.id == entry.id && read.end() == entry.end());
    absl::string_view records;
    for (uint64_t i = 0; i <= std::min<uint64_t>(entry.count, 8); ++i) {
      const bool whole = RecordsFrom(entry, entry.first_index + i, records).ok();
      if (whole) FLEET_ASSERT(records.size() <= entry.data.size());
    }
  }
}

}  // namespace
}  // namespace fleet::collector

/// The first byte chooses: 0 entries as they are; 1 the body of one entry, whose size and checksum
/// are made right, because a fuzzer does not find those; 2 a catalog's body, the same way; 3 a file
/// name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 0) {
    fleet::collector::ReadEntries(rest);
  } else if (data[0] == 1) {
    std::string entry;
    fleet::segment::PutFixed<uint32_t>(static_cast<uint32_t>(rest.size()), entry);
    const uint32_t crc = fleet::Crc32c(rest, fleet::Crc32c(entry));
    fleet::segment::PutFixed<uint32_t>(crc, entry);
    entry.append(rest.data(), rest.size());
    fleet::collector::ReadEntries(entry);
  } else if (data[0] == 2) {
    std::string catalog = std::string("fcat\x01", 5) + std::string(rest);
    fleet::collector::PutCatalogEnd(catalog);
    const auto hosts = fleet::collector::ParseCatalog(catalog);
    if (hosts.ok()) FLEET_ASSERT(hosts->size() <= catalog.size());
  } else {
    if (const auto name = fleet::collector::ParseSegmentName(rest)) {
      FLEET_ASSERT(fleet::collector::MakeSegmentName(*name) == rest);
    }
    if (const auto number = fleet::collector::ParseLogName(rest)) {
      FLEET_ASSERT(fleet::collector::MakeLogName(*number) == rest);
    }
  }
  return 0;
}
