#include "agent/parse/net_dev.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lines = fleet::agent::ParseNetDev(text);
  if (!lines.ok()) return 0;
  for (const auto& line : *lines) FLEET_ASSERT(!line.device.empty());
  return 0;
}
