#include "agent/parse/net_udp.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto queues = fleet::agent::ParseNetUdp(text);
  if (!queues.ok()) FLEET_ASSERT(!queues.status().message().empty());
  return 0;
}
