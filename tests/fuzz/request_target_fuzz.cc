#include <cstdint>

#include "collector/http/negotiate.h"
#include "collector/http/target.h"
#include "common/status_macros.h"

// Whatever a request line holds: no crash, and no decoded segment that could walk upwards.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto target = fleet::collector::ParseRequestTarget(text);
  if (target.ok()) {
    for (const std::string& segment : target->path) {
      FLEET_ASSERT(!segment.empty() && segment != "." && segment != "..");
      FLEET_ASSERT(segment.find('\0') == std::string::npos);
    }
  }
  (void)fleet::collector::WantsOpenMetrics(text);
  (void)fleet::collector::AcceptsGzip(text);
  return 0;
}
