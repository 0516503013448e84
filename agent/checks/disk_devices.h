#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "agent/change_stamp.h"
#include "agent/check.h"
#include "agent/host_fs.h"
#include "agent/kept_file.h"
#include "agent/parse/udev_data.h"

namespace fleet::agent {

/// Adds node_disk_* of every block device that node_exporter shows, from /proc/diskstats and udev's
/// database. Errors: as of HostFs::Read and ParseDiskStats.
class DiskDevices {
 public:
  explicit DiskDevices(const HostFs& fs)
      : fs_(fs),
        diskstats_(fs, "proc/diskstats", KeptFile::Records::kMany),
        udev_stamp_(fs, kUdevFolder) {}

  absl::Status Add(CheckRun& run);

 private:
  static constexpr absl::string_view kUdevFolder = "run/udev/data";

  /// What udev knows of a device; nothing where it has no file for it.
  const UdevData& Udev(uint32_t major, uint32_t minor);

  const HostFs fs_;
  KeptFile diskstats_;
  /// udev replaces a file by renaming a new one over it, so its folder changes with every file.
  ChangeStamp udev_stamp_;
  std::map<std::pair<uint32_t, uint32_t>, UdevData> udev_;  // as of the stamp
};

}  // namespace fleet::agent
