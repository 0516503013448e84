#pragma once

#include <memory>
#include <string>

#include "collector/remote_write/cursor.h"

namespace fleet::collector {

/// Cursors in an SQLite file at `path` (empty: in memory). After a power cut the newest changes may
/// be gone: then the receivers get the same samples again, which changes nothing there.
/// Errors: as Database::Open.
absl::StatusOr<std::unique_ptr<CursorStore>> OpenCursors(const std::string& path);

}  // namespace fleet::collector
