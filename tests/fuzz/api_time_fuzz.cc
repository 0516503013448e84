#include <cstdint>

#include "absl/strings/str_cat.h"
#include "collector/http/body.h"
#include "collector/updown/check_fields.h"
#include "collector/updown/time_text.h"
#include "common/status_macros.h"

// Whatever a client gives as a time or as the fields of a check: no crash, times that are written
// are read back as they were, and no header of a check has a line break.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleet::collector;  // NOLINT
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto time = ParseApiTime(text); time.ok()) {
    const auto again = ParseApiTime(FormatApiTime(*time));
    FLEET_ASSERT(again.ok() && *again == absl::FromUnixSeconds(absl::ToUnixSeconds(*time)));
  }
  if (const auto fields = ParseBody("", text); fields.ok()) {
    ProbeCheck check;
    if (ApplyCheckFields(*fields, {}, check).empty()) {
      for (const auto& [name, value] : check.custom_headers) {
        FLEET_ASSERT(absl::StrCat(name, value).find_first_of("\r\n") == std::string::npos);
      }
    }
  }
  return 0;
}
