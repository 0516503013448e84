#include "agent/parse/spool_files.h"
#include "common/status_macros.h"

/// What is read was written so, and only so.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto name = fleet::agent::ParseSpoolFileName(text);
  if (name.ok()) FLEET_ASSERT(fleet::agent::FormatSpoolFileName(*name) == text);
  const auto acks = fleet::agent::ParseSpoolAcks(text);
  if (acks.ok()) FLEET_ASSERT(fleet::agent::FormatSpoolAcks(*acks) == text);
  fleet::agent::ParseBootId(text).status().IgnoreError();  // must not crash
  return 0;
}
