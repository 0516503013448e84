#include "agent/parse/redis_info.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto info = fleet::agent::ParseRedisInfo({reinterpret_cast<const char*>(data), size});
  if (!info.ok()) return 0;
  FLEET_ASSERT(!info->fields().empty());
  for (const auto& field : info->fields()) {
    FLEET_ASSERT(!field.name.empty());
    if (const auto parts = fleet::agent::ParseRedisParts(field.value); parts.ok()) {
      for (const auto& [name, value] : *parts) FLEET_ASSERT(!name.empty());
    }
  }
  return 0;
}
