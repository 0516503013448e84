#include "agent/parse/stat.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto stat = fleet::agent::ParseStat(text);
  if (stat.ok()) FLEET_ASSERT(stat->cpus.size() <= 8192 && stat->boot >= absl::FromUnixSeconds(0));
  const auto count = fleet::agent::CountCpuList(text);
  if (count.ok()) FLEET_ASSERT(*count > 0);
  return 0;
}
