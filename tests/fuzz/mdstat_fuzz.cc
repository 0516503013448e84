#include "agent/checks/raid_judge.h"
#include "agent/checks/raid_read.h"
#include "agent/parse/mdstat.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleet::agent;
  const auto mdstat = ParseMdstat({reinterpret_cast<const char*>(data), size});
  if (!mdstat.ok()) return 0;
  for (const MdstatArray& line : mdstat->arrays) {
    FLEET_ASSERT(!line.name.empty() && !line.state.empty() && line.blocks >= 0);
    const RaidArray array = RaidFromMdstat(line);
    FLEET_ASSERT(array.sync.done_sectors <= array.sync.total_sectors);
    FLEET_ASSERT(!JudgeRaid(array, {}, absl::UnixEpoch(), {}).reason.empty());
  }
  return 0;
}
