#include "agent/checks/raid_judge.h"
#include "agent/parse/md_sysfs.h"
#include "agent/parse/udev_data.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleet::agent;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto sync = ParseMdSyncCompleted(text); sync.ok()) {
    FLEET_ASSERT(sync->done_sectors >= 0 && sync->done_sectors <= sync->total_sectors);
  }
  if (const auto disks = ParseMdRaidDisks(text); disks.ok()) FLEET_ASSERT(disks->disks >= 0);
  if (const auto bad = ParseMdBadBlocks(text); bad.ok()) FLEET_ASSERT(*bad >= 0);
  if (const auto number = ParseMdNumber(text); number.ok()) FLEET_ASSERT(!*number || **number >= 0);
  ParseMdMemberState(text);
  FLEET_ASSERT(ParseUdevData(text).properties.size() <= 1024);
  // What is remembered reads back the same.
  const RaidHistory history = ParseRaidHistory(text);
  const RaidHistory again = ParseRaidHistory(FormatRaidHistory(history));
  FLEET_ASSERT(again.slots.size() == history.slots.size());
  return 0;
}
