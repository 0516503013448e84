#include "agent/parse/pressure.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto pressure = fleet::agent::ParsePressure(text);
  if (pressure.ok()) FLEET_ASSERT(pressure->some || pressure->full);
  if (pressure.ok() && pressure->some) FLEET_ASSERT(pressure->some->avg60 >= 0);
  return 0;
}
