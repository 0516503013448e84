#include "agent/parse/softnet_stat.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto stats = fleet::agent::ParseSoftnetStat(text);
  if (stats.ok()) FLEET_ASSERT(stats->size() <= size);
  return 0;
}
