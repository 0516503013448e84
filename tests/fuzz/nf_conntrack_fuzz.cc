#include "agent/parse/nf_conntrack.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto stat = fleet::agent::ParseConntrackStat(text);
  if (!stat.ok()) FLEET_ASSERT(!stat.status().message().empty());
  return 0;
}
