#include "agent/parse/rtnl_link.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<fleet::agent::RtnlLink> links;
  const auto done = fleet::agent::ParseRtnlLinks(text, links);
  if (!done.ok()) FLEET_ASSERT(!done.status().message().empty());
  for (const auto& link : links) FLEET_ASSERT(link.state.index > 0 && !link.state.name.empty());
  return 0;
}
