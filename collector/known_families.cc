#include "collector/known_families.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace fleet::collector {
namespace {

// What MakeBuiltins renders, and what Prometheus adds to a scrape by itself.
constexpr absl::string_view kReservedPrefixes[] = {
    "fleet_host_", "fleet_check_",  "fleet_item_", "fleet_collector_",
    "fleet_http_", "fleet_ingest_", "scrape_",     "ALERTS",
};
constexpr absl::string_view kReservedNames[] = {"up", "target_info"};

constexpr MetricDesc kFamilies[] = {
#include "known_families.inc"
};

}  // namespace

absl::Span<const MetricDesc> KnownFamilies() { return kFamilies; }

std::optional<KnownFamily> FindKnownFamily(absl::string_view name) {
  const auto exact =
      std::lower_bound(std::begin(kFamilies), std::end(kFamilies), name,
                       [](const MetricDesc& desc, absl::string_view n) { return desc.name < n; });
  if (exact != std::end(kFamilies) && exact->name == name) {
    return KnownFamily{exact->type, std::string(exact->help)};
  }
  for (const MetricDesc& desc : kFamilies) {
    absl::string_view rest = name;
    absl::string_view prefix = desc.name;
    if (absl::ConsumeSuffix(&prefix, "*") && absl::ConsumePrefix(&rest, prefix)) {
      return KnownFamily{desc.type, absl::StrReplaceAll(desc.help, {{"%s", rest}})};
    }
  }
  return std::nullopt;
}

bool IsReservedFamily(absl::string_view name) {
  return std::any_of(std::begin(kReservedPrefixes), std::end(kReservedPrefixes),
                     [name](absl::string_view prefix) { return absl::StartsWith(name, prefix); }) ||
         std::find(std::begin(kReservedNames), std::end(kReservedNames), name) !=
             std::end(kReservedNames);
}

}  // namespace fleet::collector
