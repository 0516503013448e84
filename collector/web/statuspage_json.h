#pragma once

#include <string>

#include "collector/web/status_model.h"

/// The JSON of Atlassian's Statuspage, version 2, as its consumers read it. `page.valid_until` is
/// ours: after it nothing of it may be believed. Pure.
namespace fleet::collector {

/// status.json: the page and the whole in one word.
std::string StatusJson(const StatusModel& model);
/// summary.json: that, components, and incidents that are not over.
std::string SummaryJson(const StatusModel& model);
std::string ComponentsJson(const StatusModel& model);
/// Downtimes and announcements, newest first.
std::string IncidentsJson(const StatusModel& model, bool unresolved_only);
/// scheduled-maintenances.json and its kin: there are none.
std::string MaintenancesJson(const StatusModel& model);

}  // namespace fleet::collector
