#include "agent/parse/s3_error.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto error = fleet::agent::ParseS3Error({reinterpret_cast<const char*>(data), size});
  for (const std::string& text : {error.code, error.message}) {
    FLEET_ASSERT(text.find('\n') == std::string::npos);
  }
  return 0;
}
