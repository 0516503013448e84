#include "agent/parse/softnet.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto cpus = fleet::agent::ParseSoftnet(text);
  if (cpus.ok()) FLEET_ASSERT(cpus->size() <= 8192);
  return 0;
}
