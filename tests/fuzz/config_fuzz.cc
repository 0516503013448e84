#include "common/config_loader.h"
#include "common/status_macros.h"
#include "fleet/v1/config.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fleet::ConfigLoader loader;
  fleet::v1::AgentConfig config;
  loader.LoadText({reinterpret_cast<const char*>(data), size}, "fuzz.yaml", config);
  for (const fleet::ConfigProblem& problem : loader.problems()) {
    FLEET_ASSERT(!problem.message.empty());
  }
  return 0;
}
