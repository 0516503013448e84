#include "tests/support/segment_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/segment/decoder.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

namespace fs = std::filesystem;

/// Regular files below `directory`; a file or directory that goes meanwhile is no error.
std::vector<std::string> FilesBelow(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) paths.push_back(at->path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::vector<SegmentFile> FindSegmentFiles(const std::string& directory) {
  std::vector<SegmentFile> found;
  for (const std::string& path : FilesBelow(directory)) {
    const ScanResult scan = ScanSegment(ReadFile(path));
    if (scan.header) found.push_back({path, scan.id, scan.created, scan.reports, scan.damage});
  }
  return found;
}

std::map<SegmentId, uint64_t> CountReports(const std::string& directory) {
  std::map<SegmentId, uint64_t> counts;
  for (const SegmentFile& file : FindSegmentFiles(directory)) {
    uint64_t& count = counts[file.id];
    count = std::max(count, file.reports);
  }
  return counts;
}

std::vector<StoredReport> ReadSegmentFile(const std::string& path) {
  std::vector<StoredReport> reports;
  SegmentDecoder decoder;
  decoder
      .Feed(ReadFile(path),
            [&](const DecodedReport& report) {
              reports.push_back(
                  {report.segment, report.index, std::string(report.check), report.start});
              return absl::OkStatus();
            })
      .IgnoreError();  // the reports before a damage are the answer
  return reports;
}

uint64_t BytesBelow(const std::string& directory) {
  uint64_t bytes = 0;
  for (const std::string& path : FilesBelow(directory)) {
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (!error) bytes += size;
  }
  return bytes;
}

}  // namespace fleet::test
