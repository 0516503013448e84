#include "agent/checks/disk_forecast.h"
#include "agent/checks/disk_mounts.h"
#include "agent/parse/diskstats.h"
#include "common/status_macros.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fleet::agent;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto devices = ParseDiskStats(text);
  for (const DiskStats& stats : devices.ok() ? *devices : std::vector<DiskStats>()) {
    FLEET_ASSERT(stats.fields_size >= 11 && stats.fields_size <= DiskStats::kFieldsMax);
    IsExcludedDevice(stats.device);
  }
  // What is remembered reads back the same.
  const SpaceHistory history = SpaceHistory::Parse(text);
  FLEET_ASSERT(SpaceHistory::Parse(history.Format()) == history);
  if (const auto low = history.LowWater()) FLEET_ASSERT(low->bytes >= 0);
  history.BytesPerDay();
  return 0;
}
