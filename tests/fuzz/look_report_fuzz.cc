#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/probe/look_report.h"
#include "common/status_macros.h"

// Lines: the check, then "family labels-in-exposition-form value".
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  fleet::Report report;
  bool first = true;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (std::exchange(first, false)) {
      report.check = std::string(line);
      continue;
    }
    const std::vector<absl::string_view> parts = absl::StrSplit(line, '\t');
    double value = 0;
    if (parts.size() != 3 || !absl::SimpleAtod(parts[2], &value)) continue;
    report.samples.AddRaw({std::string(parts[0]), fleet::MetricType::kGauge, ""}, parts[1], value);
  }
  const auto look = fleet::probe::FromReport(report);
  if (!look.ok()) return 0;
  const fleet::Report again = fleet::probe::ToReport(*look, absl::Seconds(60));
  FLEET_ASSERT(again.check == report.check);
  FLEET_ASSERT(fleet::probe::FromReport(again).ok());
  return 0;
}
