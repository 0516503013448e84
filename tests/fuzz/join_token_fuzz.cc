#include "common/join_token.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto token =
      fleet::ParseJoinToken(absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!token.ok()) return 0;
  const auto again = fleet::ParseJoinToken(fleet::FormatJoinToken(*token));
  FLEET_ASSERT(again.ok() && *again == *token);
  return 0;
}
