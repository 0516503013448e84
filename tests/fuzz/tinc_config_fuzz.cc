#include "agent/parse/tinc_config.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto config = fleet::agent::ParseTincConfig(text); config.ok()) {
    for (const auto& subnet : config->subnets) {
      FLEET_ASSERT(subnet.prefix_length >= 0 && subnet.prefix_length <= (subnet.ipv6 ? 128 : 32));
    }
    for (const std::string& name : config->connect_to) {
      FLEET_ASSERT(fleet::agent::IsTincNodeName(name));
    }
  }
  if (const auto pid = fleet::agent::ParseTincPid(text); pid.ok()) {
    FLEET_ASSERT(pid->pid > 0 && (pid->cookie.empty() || pid->cookie.size() == 64));
  }
  return 0;
}
