#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace fleet::agent {

/// Open files of the whole machine.
struct FileNr {
  uint64_t allocated = 0;
  uint64_t maximum = 0;
};

/// Parses /proc/sys/fs/file-nr, such as
///   1723	0	2466193
/// where the middle one has been 0 since Linux 2.6.
///
/// Errors: kInvalidArgument without three numbers.
/// Source: https://docs.kernel.org/admin-guide/sysctl/fs.html
absl::StatusOr<FileNr> ParseFileNr(absl::string_view text);

}  // namespace fleet::agent
