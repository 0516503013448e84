#pragma once

#include <string>

#include "collector/web/status_model.h"

namespace fleet::collector {

/// Downtimes and announcements as an Atom feed (RFC 4287), what changed last first. It changes only
/// when one of them does. Pure.
std::string RenderAtom(const StatusModel& model);

}  // namespace fleet::collector
