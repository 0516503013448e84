#pragma once

#include "absl/strings/string_view.h"

namespace fleet::probe {

enum class IpFamily { kAny, kIpv4, kIpv6 };

/// The family of a numeric address; kAny for anything else.
IpFamily FamilyOf(absl::string_view address);

}  // namespace fleet::probe
