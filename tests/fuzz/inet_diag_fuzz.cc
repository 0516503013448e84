#include "agent/parse/inet_diag.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto diag =
      fleet::agent::ParseInetDiag(absl::string_view(reinterpret_cast<const char*>(data), size));
  // Each connection takes at least its message.
  if (diag.ok()) FLEET_ASSERT(diag->connections.size() <= size / 72);
  return 0;
}
