#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "agent/checks/filesystem_stats.h"
#include "agent/options.h"
#include "common/report.h"

namespace fleet::agent {

/// Errors a filesystem has recorded about itself.
struct FilesystemErrors {
  int64_t count = 0;
  absl::Time last = absl::InfinitePast();
  std::string where;  // the kernel's function, for a report
  bool grew = false;  // since it was remembered
  bool operator==(const FilesystemErrors&) const = default;
};

/// What is known of one filesystem.
struct FilesystemFacts {
  std::optional<FilesystemUsage> usage;
  bool read_only = false;
  bool was_writable = false;  // remembered, or fstab says it should be
  std::optional<FilesystemErrors> errors;
  absl::Duration full_in = absl::InfiniteDuration();
  bool leak = false;
};

struct FilesystemJudgement {
  Verdict verdict = Verdict::kOk;
  std::string reason;
  bool operator==(const FilesystemJudgement&) const = default;
};

/// Judges one filesystem from the facts alone; every finding is in the reason, the worst first.
FilesystemJudgement JudgeFilesystem(const FilesystemFacts& facts, absl::Time now,
                                    const DiskOptions& options);

}  // namespace fleet::agent
