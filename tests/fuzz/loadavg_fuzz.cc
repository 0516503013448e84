#include "agent/parse/loadavg.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto load = fleet::agent::ParseLoadAverage({reinterpret_cast<const char*>(data), size});
  if (load.ok()) FLEET_ASSERT(load->one >= 0 && load->five >= 0 && load->fifteen >= 0);
  return 0;
}
