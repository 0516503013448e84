#include <cstdint>

#include "collector/http/body.h"
#include "common/escape.h"
#include "common/status_macros.h"

// Whatever a client sends as a body, read as a form and as JSON: no crash, bounded, and nothing
// but UTF-8 comes out.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using fleet::collector::BodyValue;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  for (const char* type : {"application/x-www-form-urlencoded", "application/json"}) {
    const auto fields = fleet::collector::ParseBody(type, text);
    if (!fields.ok()) continue;
    size_t values = 0;
    for (const auto& [name, value] : *fields) {
      values += value.list.size() + value.map.size();
      for (absl::string_view rest = value.text; !rest.empty();) {
        const size_t step = fleet::Utf8SequenceSize(rest);
        FLEET_ASSERT(step > 0);
        rest.remove_prefix(step);
      }
    }
    FLEET_ASSERT(values <= fleet::collector::kBodyValuesMax);
  }
  return 0;
}
