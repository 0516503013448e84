#pragma once

#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/web/announcements.h"

namespace fleet::collector {

/// How long a resolved announcement stays in updates.html.
inline constexpr absl::Duration kResolvedShownFor = absl::Hours(24);

/// What /updates.html says: a piece of HTML without any style or class, which a status page puts
/// into itself; newest first. Empty when there is nothing to tell. Pure.
std::string RenderUpdates(absl::Span<const Announcement> announcements, absl::Time now,
                          absl::TimeZone zone);

}  // namespace fleet::collector
