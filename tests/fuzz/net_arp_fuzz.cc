#include "agent/parse/net_arp.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto counts = fleet::agent::CountArpEntries(text);
  if (!counts.ok()) return 0;
  uint64_t sum = 0;
  for (const auto& [device, count] : *counts) sum += count;
  FLEET_ASSERT(sum <= size);
  return 0;
}
