#pragma once

#include "absl/status/status.h"
#include "agent/check.h"
#include "agent/host_fs.h"
#include "agent/kept_file.h"

namespace fleet::agent {

/// Adds node_disk_* of every block device that node_exporter shows, from /proc/diskstats and udev's
/// database. Errors: as of HostFs::Read and ParseDiskStats.
absl::Status AddDiskDevices(const HostFs& fs, KeptFile& diskstats, CheckRun& run);

}  // namespace fleet::agent
