#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/config.h"
#include "agent/spool_segment.h"
#include "common/clock.h"
#include "common/file_system.h"
#include "common/segment/segment.h"

namespace fleet::agent {

/// Where an agent with these settings has its spool.
inline std::string SpoolDirectory(const AgentSettings& settings) {
  return settings.data_dir + "/spool";
}

/// What the command line of `fleet-agent spool` says.
struct SpoolCommandOptions {
  std::string directory;
  std::string host;   // whose spool it is; for export
  std::string since;  // for export; empty: everything
};

/// `fleet-agent spool ls|verify|export`: reads a spool's files and changes nothing, so that it may
/// run beside the agent and on what is left of a disk. Each returns the exit code.
class SpoolReader {
 public:
  /// All must outlive it.
  SpoolReader(SpoolCommandOptions options, FileSystem& files, Clock& clock, BootClock& boot);

  /// A table of the segments, oldest first.
  int List(std::ostream& out, std::ostream& err);
  /// Decodes everything. 1 when something is damaged, each such file named with the offset.
  int Verify(std::ostream& out, std::ostream& err);
  /// Every report that can be read, a JSON object per line, oldest segment first. 1 when something
  /// could not be read.
  int Export(std::ostream& out, std::ostream& err);

 private:
  struct File {
    std::string path;
    SpoolFileName name;
    bool aside = false;  // set aside as unreadable
    uint64_t bytes = 0;
    bool newest = false;  // the agent may be writing to it
  };

  absl::StatusOr<std::vector<File>> Files() const;
  /// Reads a file; what is being written at the moment is given the time for it.
  absl::StatusOr<std::string> ReadSegment(const File& file) const;
  absl::Duration AgeOf(const File& file, absl::Time created) const;

  const SpoolCommandOptions options_;
  FileSystem& files_;
  Clock& clock_;
  BootClock& boot_;
};

}  // namespace fleet::agent
