#include "agent/parse/vmstat.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto vmstat = fleet::agent::ParseVmstat(text);
  for (size_t i = 0; vmstat.ok() && i < vmstat->size(); ++i) {
    FLEET_ASSERT(vmstat->value(i) >= 0 && !vmstat->name(i).empty());
  }
  return 0;
}
