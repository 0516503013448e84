#include "agent/redis/sidekiq_process.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto info = fleet::agent::ParseSidekiqInfo({reinterpret_cast<const char*>(data), size});
  if (info.ok()) FLEET_ASSERT(!info->queues.empty() && info->concurrency >= 0);
  return 0;
}
