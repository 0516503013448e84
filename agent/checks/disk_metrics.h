#pragma once

#include <cstddef>
#include <iterator>

#include "common/metric.h"

/// Every metric of the disk check; node_* are node_exporter's, word for word.
namespace fleet::agent {

inline constexpr MetricDesc kDiskMetrics[] = {
    {"node_disk_reads_completed_total", MetricType::kCounter,
     "The total number of reads completed successfully.", true},
    {"node_disk_reads_merged_total", MetricType::kCounter, "The total number of reads merged.",
     true},
    {"node_disk_read_bytes_total", MetricType::kCounter,
     "The total number of bytes read successfully.", true},
    {"node_disk_read_time_seconds_total", MetricType::kCounter,
     "The total number of seconds spent by all reads.", true},
    {"node_disk_writes_completed_total", MetricType::kCounter,
     "The total number of writes completed successfully.", true},
    {"node_disk_writes_merged_total", MetricType::kCounter, "The number of writes merged.", true},
    {"node_disk_written_bytes_total", MetricType::kCounter,
     "The total number of bytes written successfully.", true},
    {"node_disk_write_time_seconds_total", MetricType::kCounter,
     "This is the total number of seconds spent by all writes.", true},
    {"node_disk_io_now", MetricType::kGauge, "The number of I/Os currently in progress.", true},
    {"node_disk_io_time_seconds_total", MetricType::kCounter, "Total seconds spent doing I/Os.",
     true},
    {"node_disk_io_time_weighted_seconds_total", MetricType::kCounter,
     "The weighted # of seconds spent doing I/Os.", true},
    {"node_disk_discards_completed_total", MetricType::kCounter,
     "The total number of discards completed successfully.", true},
    {"node_disk_discards_merged_total", MetricType::kCounter,
     "The total number of discards merged.", true},
    {"node_disk_discarded_sectors_total", MetricType::kCounter,
     "The total number of sectors discarded successfully.", true},
    {"node_disk_discard_time_seconds_total", MetricType::kCounter,
     "This is the total number of seconds spent by all discards.", true},
    {"node_disk_flush_requests_total", MetricType::kCounter,
     "The total number of flush requests completed successfully.", true},
    {"node_disk_flush_requests_time_seconds_total", MetricType::kCounter,
     "This is the total number of seconds spent by all flush requests.", true},
    {"node_disk_info", MetricType::kGauge, "Info of /sys/block/<block_device>.", true},
    {"node_disk_filesystem_info", MetricType::kGauge, "Info about disk filesystem.", true},
    {"node_disk_device_mapper_info", MetricType::kGauge, "Info about disk device mapper.", true},
    {"node_disk_ata_write_cache", MetricType::kGauge, "ATA disk has a write cache.", true},
    {"node_disk_ata_write_cache_enabled", MetricType::kGauge,
     "ATA disk has its write cache enabled.", true},
    {"node_disk_ata_rotation_rate_rpm", MetricType::kGauge,
     "ATA disk rotation rate in RPMs (0 for SSDs).", true},
    {"node_filesystem_device_error", MetricType::kGauge,
     "Whether an error occurred while getting statistics for the given device.", true},
    {"node_filesystem_size_bytes", MetricType::kGauge, "Filesystem size in bytes.", true},
    {"node_filesystem_free_bytes", MetricType::kGauge, "Filesystem free space in bytes.", true},
    {"node_filesystem_avail_bytes", MetricType::kGauge,
     "Filesystem space available to non-root users in bytes.", true},
    {"node_filesystem_files", MetricType::kGauge, "Filesystem total file nodes.", true},
    {"node_filesystem_files_free", MetricType::kGauge, "Filesystem total free file nodes.", true},
    {"node_filesystem_readonly", MetricType::kGauge, "Filesystem read-only status.", true},
    {"fleet_disk_full_seconds", MetricType::kGauge,
     "When the filesystem is full if its low-water line falls on as it does; absent when it does "
     "not fall."},
    {"fleet_disk_filesystem_errors", MetricType::kGauge,
     "Errors the filesystem has recorded about itself since it was last repaired."},
};

/// Index into kDiskMetrics; the first 17 are DiskStats::fields in order.
enum DiskMetric : size_t {
  kDiskInfo = 17,
  kDiskFilesystemInfo,
  kDiskDeviceMapperInfo,
  kDiskAtaWriteCache,
  kDiskAtaWriteCacheEnabled,
  kDiskAtaRotationRate,
  kFilesystemDeviceError,
  kFilesystemSize,
  kFilesystemFree,
  kFilesystemAvailable,
  kFilesystemFiles,
  kFilesystemFilesFree,
  kFilesystemReadOnly,
  kDiskFull,
  kDiskFilesystemErrors,
};
static_assert(kDiskFilesystemErrors + 1 == std::size(kDiskMetrics));

}  // namespace fleet::agent
