#include "common/config_loader.h"
#include "common/status_macros.h"
#include "fleet/v1/agent_config.pb.h"
#include "fleet/v1/collector_config.pb.h"

namespace {

void Load(absl::string_view text, google::protobuf::Message& config) {
  fleet::ConfigLoader loader;
  loader.LoadText(text, "fuzz.yaml", config);
  for (const fleet::ConfigProblem& problem : loader.problems()) {
    FLEET_ASSERT(!problem.message.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  fleet::v1::AgentConfig agent;
  Load(text, agent);
  fleet::v1::CollectorConfig collector;
  Load(text, collector);
  return 0;
}
