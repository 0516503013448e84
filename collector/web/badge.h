#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "collector/web/status_model.h"

/// Small pictures for other people's pages. A picture cannot turn itself to "no news", so one that
/// tells a verdict also tells of which minute it is. Pure.
namespace fleet::collector {

/// "chitter.xyz | operational 16:50 UTC".
std::string ComponentBadge(const Component& component, const StatusModel& model);
/// "chitter.xyz uptime | 99.98 % in 90 days".
std::string UptimeBadge(const Component& component);
/// The whole: "Status | all systems operational 16:50 UTC".
std::string OverallBadge(const StatusModel& model);

}  // namespace fleet::collector
