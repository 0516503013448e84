#include "agent/checks/disk_devices.h"

#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/checks/disk_metrics.h"
#include "agent/checks/disk_mounts.h"
#include "agent/parse/diskstats.h"
#include "agent/parse/udev_data.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

/// What a field is multiplied by, as node_exporter does: the same doubles come out.
double FactorOf(size_t field) {
  switch (field) {
    case 2:
    case 6:
      return 512;
    case 3:
    case 7:
    case 9:
    case 10:
    case 14:
    case 16:
      return 1.0 / 1000.0;
    default:
      return 1;
  }
}

void AddUdevInfo(const DiskStats& stats, const UdevData& udev, CheckRun& run) {
  const Label device{"device", stats.device};
  const std::string major = absl::StrCat(stats.major);
  const std::string minor = absl::StrCat(stats.minor);
  run.Add(kDiskMetrics[kDiskInfo],
          {device,
           {"major", major},
           {"minor", minor},
           {"model", udev.Get("ID_MODEL")},
           {"path", udev.Get("ID_PATH")},
           {"revision", udev.Get("ID_REVISION")},
           {"serial", udev.Get("ID_SERIAL_SHORT")},
           {"wwn", udev.Get("ID_WWN")}},
          1);
  if (const absl::string_view type = udev.Get("ID_FS_TYPE"); !type.empty()) {
    run.Add(kDiskMetrics[kDiskFilesystemInfo],
            {device,
             {"type", type},
             {"usage", udev.Get("ID_FS_USAGE")},
             {"uuid", udev.Get("ID_FS_UUID")},
             {"version", udev.Get("ID_FS_VERSION")}},
            1);
  }
  if (const absl::string_view name = udev.Get("DM_NAME"); !name.empty()) {
    run.Add(kDiskMetrics[kDiskDeviceMapperInfo],
            {device,
             {"lv_layer", udev.Get("DM_LV_LAYER")},
             {"lv_name", udev.Get("DM_LV_NAME")},
             {"name", name},
             {"uuid", udev.Get("DM_UUID")},
             {"vg_name", udev.Get("DM_VG_NAME")}},
            1);
  }
  if (udev.Get("ID_ATA").empty()) return;
  const std::pair<absl::string_view, DiskMetric> ata[] = {
      {"ID_ATA_WRITE_CACHE", kDiskAtaWriteCache},
      {"ID_ATA_WRITE_CACHE_ENABLED", kDiskAtaWriteCacheEnabled},
      {"ID_ATA_ROTATION_RATE_RPM", kDiskAtaRotationRate},
  };
  for (const auto& [key, metric] : ata) {
    double value = 0;
    if (absl::SimpleAtod(udev.Get(key), &value)) run.Add(kDiskMetrics[metric], {device}, value);
  }
}

}  // namespace

const UdevData& DiskDevices::Udev(uint32_t major, uint32_t minor) {
  const auto [entry, is_new] = udev_.try_emplace({major, minor});
  if (is_new) {
    const auto text = fs_.Read(absl::StrCat(kUdevFolder, "/b", major, ":", minor));
    if (text.ok()) entry->second = ParseUdevData(*text);
  }
  return entry->second;
}

absl::Status DiskDevices::Add(CheckRun& run) {
  const auto text = diskstats_.Read();
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  FLEET_RETURN_IF_ERROR(text.status());
  FLEET_ASSIGN_OR_RETURN(const std::vector<DiskStats> devices, ParseDiskStats(*text));
  // More than there are devices: some of them went.
  if (udev_stamp_.MayHaveChanged() || udev_.size() > devices.size()) udev_.clear();
  for (const DiskStats& stats : devices) {
    if (IsExcludedDevice(stats.device)) continue;
    for (size_t i = 0; i < stats.fields_size; ++i) {
      run.Add(kDiskMetrics[i], {{"device", stats.device}},
              static_cast<double>(stats.fields[i]) * FactorOf(i));
    }
    AddUdevInfo(stats, Udev(stats.major, stats.minor), run);
  }
  return absl::OkStatus();
}

}  // namespace fleet::agent
