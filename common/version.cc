#include "common/version.h"

namespace fleet {

absl::string_view Version() { return FLEET_VERSION; }

}  // namespace fleet
