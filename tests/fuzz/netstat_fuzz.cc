#include "agent/parse/netstat.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto& fields : {fleet::agent::ParseNetstat(text), fleet::agent::ParseSnmp6(text)}) {
    if (!fields.ok()) continue;
    for (const auto& field : *fields) {
      const size_t split = field.name.find('_');
      FLEET_ASSERT(split != std::string::npos);
      FLEET_ASSERT(field.value == field.value);
    }
  }
  return 0;
}
