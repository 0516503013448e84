#include "agent/parse/sockstat.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto fields = fleet::agent::ParseSockstat(text);
  if (!fields.ok()) return 0;
  for (const auto& field : *fields) FLEET_ASSERT(!field.protocol.empty() && !field.name.empty());
  return 0;
}
