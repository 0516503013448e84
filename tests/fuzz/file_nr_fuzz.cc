#include "agent/parse/file_nr.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto files = fleet::agent::ParseFileNr(text);
  if (files.ok()) FLEET_ASSERT(!text.empty());
  return 0;
}
