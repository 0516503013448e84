#include "collector/known_families.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"

namespace fleet::collector {
namespace {

// What MakeBuiltins renders, and what Prometheus adds to a scrape by itself.
constexpr absl::string_view kReservedPrefixes[] = {
    "fleet_host_", "fleet_check_",  "fleet_item_", "fleet_collector_",
    "fleet_http_", "fleet_ingest_", "scrape_",     "ALERTS",
};
constexpr absl::string_view kReservedNames[] = {"up", "target_info"};

}  // namespace

const KnownFamily* FindKnownFamily(absl::string_view) { return nullptr; }

bool IsReservedFamily(absl::string_view name) {
  return std::any_of(std::begin(kReservedPrefixes), std::end(kReservedPrefixes),
                     [name](absl::string_view prefix) { return absl::StartsWith(name, prefix); }) ||
         std::find(std::begin(kReservedNames), std::end(kReservedNames), name) !=
             std::end(kReservedNames);
}

}  // namespace fleet::collector
