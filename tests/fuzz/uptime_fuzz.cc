#include "agent/parse/uptime.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto uptime = fleet::agent::ParseUptime(text);
  if (uptime.ok()) FLEET_ASSERT(*uptime >= absl::ZeroDuration());
  return 0;
}
