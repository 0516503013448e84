#include "agent/parse/net_tcp.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto listeners = fleet::agent::ParseNetTcp(text); listeners.ok()) {
    for (const auto& listener : *listeners) FLEET_ASSERT(!listener.address.empty());
  }
  if (const auto paths = fleet::agent::ParseNetUnix(text); paths.ok()) {
    for (const auto& path : *paths) FLEET_ASSERT(path.front() == '/');
  }
  return 0;
}
