#include <cstdint>

#include "absl/strings/match.h"
#include "collector/probes/probe_spec.h"
#include "common/status_macros.h"

// Whatever a check's URL and string_match hold: no crash, no problem without a text, no control
// byte in what is asked, and no credentials in what is shown.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  fleet::collector::ProbeCheck check;
  const size_t cut = text.find('\n');
  check.url = std::string(text.substr(0, cut));
  if (cut != absl::string_view::npos) check.string_match = std::string(text.substr(cut + 1));
  const auto problems = fleet::collector::DeriveSpec(check);
  for (const auto& problem : problems) {
    FLEET_ASSERT(!fleet::collector::ApiMessage(problem).empty());
  }
  if (!problems.empty()) return 0;
  for (const char c : check.spec.target) FLEET_ASSERT(static_cast<unsigned char>(c) > 0x20);
  if (!check.spec.http.user.empty() && check.type == "https") {
    const std::string host = check.url.substr(8, check.url.find_first_of("/?#", 8) - 8);
    FLEET_ASSERT(!absl::StrContains(host, '@'));
  }
  return 0;
}
