#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/segment/segment.h"

/// What lies in the files of a spool or journal, read without either's code.
namespace fleet::test {

/// One segment's file.
struct SegmentFile {
  std::string path;
  SegmentId id;
  absl::Time created;
  uint64_t reports = 0;  // whole records
  std::string damage;    // in words; empty when the file ends with a whole record
};

/// Every file below `directory` that starts with a whole header, sorted by path. What vanishes
/// while it is read is left out.
std::vector<SegmentFile> FindSegmentFiles(const std::string& directory);

/// Reports of each segment below `directory`; of a segment that has two files, the larger number.
std::map<SegmentId, uint64_t> CountReports(const std::string& directory);

/// One report as a segment's file has it.
struct StoredReport {
  SegmentId segment;
  uint64_t index = 0;
  std::string check;
  absl::Time start;
};

/// Every report of a file, decoded. Stops at the first damage.
std::vector<StoredReport> ReadSegmentFile(const std::string& path);

/// Bytes of all regular files below `directory`.
uint64_t BytesBelow(const std::string& directory);

}  // namespace fleet::test
