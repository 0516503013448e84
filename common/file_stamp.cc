#include "common/file_stamp.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"

namespace fleet {

std::string FileStamp(const std::vector<std::string>& paths) {
  std::string stamp;
  for (const std::string& path : paths) {
    struct stat info = {};
    if (path.empty() || ::stat(path.c_str(), &info) != 0) continue;
    absl::StrAppend(&stamp, path, " ", info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec,
                    ".", info.st_mtim.tv_nsec, "\n");
  }
  return stamp;
}

}  // namespace fleet
