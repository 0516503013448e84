#include "agent/parse/meminfo.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto meminfo = fleet::agent::ParseMeminfo(text);
  for (size_t i = 0; meminfo.ok() && i < meminfo->size(); ++i) {
    FLEET_ASSERT(meminfo->value(i) >= 0 && !meminfo->name(i).empty());
  }
  return 0;
}
