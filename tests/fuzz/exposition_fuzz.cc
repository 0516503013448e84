#include "agent/parse/exposition.h"
#include "common/labels.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kSamplesMax = 50;
  const auto parsed = fleet::agent::ParseExposition(
      {reinterpret_cast<const char*>(data), size}, [](absl::string_view) { return true; },
      kSamplesMax);
  if (!parsed.ok()) return 0;
  FLEET_ASSERT(parsed->samples.size() <= kSamplesMax);
  for (const auto& sample : parsed->samples) {
    FLEET_ASSERT(sample.family < parsed->families.size());
    FLEET_ASSERT(fleet::IsMetricName(parsed->families[sample.family].name));
    FLEET_ASSERT(fleet::ParseLabels(sample.labels).ok());
  }
  return 0;
}
