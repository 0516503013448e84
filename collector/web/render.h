#pragma once

#include "collector/web/status_model.h"
#include "collector/web/web_file.h"

namespace fleet::collector {

/// Every file that says what `model` says. Pure.
WebFiles RenderFiles(const StatusModel& model);

}  // namespace fleet::collector
