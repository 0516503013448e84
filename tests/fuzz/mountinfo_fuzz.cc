#include "agent/checks/disk_mounts.h"
#include "agent/parse/mountinfo.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleet::agent;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  FLEET_ASSERT(UnescapeOctal(text).size() <= text.size());
  FindInFstab(text, "/");
  const auto mounts = ParseMountinfo(text);
  if (!mounts.ok()) return 0;
  for (const DiskMount& entry : SortMounts(*mounts)) {
    FLEET_ASSERT(!entry.mount.mount_point.empty() && entry.mount.mount_point[0] == '/');
    FLEET_ASSERT(!(entry.exported && entry.mount.type == "autofs"));
    FLEET_ASSERT(!(entry.judged && entry.mount.type == "autofs"));
  }
  return 0;
}
