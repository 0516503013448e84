#pragma once

#include <string>

#include "absl/time/time.h"
#include "common/config_loader.h"
#include "fleet/v1/collector_config.pb.h"

namespace fleet::collector {

/// What the operator says of the public page.
struct StatusPageOptions {
  std::string title = "Status";
  std::string url;          // where people find it; empty: not said
  std::string description;  // one line under the title
  absl::TimeZone zone = absl::UTCTimeZone();
};

/// What `status_page` of collector.yaml says. Every problem goes to `loader`.
StatusPageOptions ReadStatusPage(const v1::CollectorConfig& config, ConfigLoader& loader);

}  // namespace fleet::collector
