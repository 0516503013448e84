#include "agent/parse/tinc_hook.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto state =
      fleet::agent::ParseTincHook(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!state.ok()) return 0;
  for (const fleet::agent::TincHookEvent& event : state->events) {
    FLEET_ASSERT(event.since_boot >= absl::ZeroDuration() && !event.node.empty());
    // What we read, we can write and read again.
    const auto again = fleet::agent::ParseTincHook(fleet::agent::TincHookLine(event));
    FLEET_ASSERT(again.ok() && again->events.size() == 1 && again->events[0].node == event.node);
  }
  return 0;
}
