#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

/// Small pieces that everything rendered for browsers and feed readers shares.
namespace fleet::collector {

/// `text` as it may stand in an element or in a quoted attribute, of HTML and of XML: control bytes
/// are left out, what is no UTF-8 is replaced.
std::string Escaped(absl::string_view text);

/// "2026-11-23T16:50:00Z".
std::string IsoTime(absl::Time time);
/// `<time datetime="2026-11-23T16:50:00Z">23 Nov 2026, 16:50 UTC</time>`, in that zone.
std::string TimeElement(absl::Time time, absl::TimeZone zone);
/// "16:50 UTC".
std::string ClockText(absl::Time time, absl::TimeZone zone);

}  // namespace fleet::collector
