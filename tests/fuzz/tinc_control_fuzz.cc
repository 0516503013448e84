#include "agent/parse/tinc_config.h"
#include "agent/parse/tinc_control.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto dump = fleet::agent::ParseTincDump(text); dump.ok()) {
    for (const fleet::agent::TincNode& node : dump->nodes) {
      FLEET_ASSERT(fleet::agent::IsTincNodeName(node.name));
      FLEET_ASSERT(!node.udp_rtt || *node.udp_rtt >= absl::ZeroDuration());
      FLEET_ASSERT(node.reachable() || node.path() == fleet::agent::TincPath::kUnreachable ||
                   node.path() == fleet::agent::TincPath::kSelf);
    }
  }
  if (const auto name = fleet::agent::ParseTincGreeting(text); name.ok()) {
    FLEET_ASSERT(fleet::agent::IsTincNodeName(*name));
  }
  return 0;
}
