#include "agent/parse/os_release.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto release = fleet::agent::ParseOsRelease(text);
  if (release.ok()) FLEET_ASSERT(release->name.size() < size || size == 0);
  FLEET_ASSERT(fleet::agent::OsVersionNumber(text) >= 0);
  return 0;
}
