#include "agent/host_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr size_t kDirectoryEntriesMax = 65536;

}  // namespace

HostFs::HostFs(std::string root) : root_(std::move(root)) {
  if (!absl::EndsWith(root_, "/")) root_.push_back('/');
}

std::string HostFs::Path(absl::string_view path) const {
  return absl::StrCat(root_, absl::StripPrefix(path, "/"));
}

absl::StatusOr<std::string> HostFs::Read(absl::string_view path, size_t size_max) const {
  const std::string full = Path(path);
  const ScopedFd fd(::open(full.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", full));
  std::string text;
  size_t used = 0;
  while (true) {
    if (text.size() - used < 1024) text.resize(std::max<size_t>(4096, text.size() * 2));
    const ssize_t got = ::read(fd.get(), text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", full));
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (used > size_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("read ", full, ": more than ", size_max, " bytes"));
    }
  }
  text.resize(used);
  return text;
}

absl::StatusOr<std::string> HostFs::ReadTrimmed(absl::string_view path) const {
  FLEET_ASSIGN_OR_RETURN(std::string text, Read(path));
  absl::StripAsciiWhitespace(&text);
  return text;
}

absl::StatusOr<std::vector<std::string>> HostFs::List(absl::string_view path) const {
  const std::string full = Path(path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(full.c_str()), ::closedir);
  if (dir == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("list ", full));
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());  // NOLINT(concurrency-mt-unsafe): own DIR
    if (entry == nullptr) {
      if (errno != 0) return absl::ErrnoToStatus(errno, absl::StrCat("list ", full));
      break;
    }
    const absl::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == kDirectoryEntriesMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("list ", full, ": more than ", kDirectoryEntriesMax, " entries"));
    }
    names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<std::string> HostFs::ReadLink(absl::string_view path) const {
  const std::string full = Path(path);
  std::string target(4096, '\0');
  const ssize_t size = ::readlink(full.c_str(), target.data(), target.size());
  if (size < 0) return absl::ErrnoToStatus(errno, absl::StrCat("readlink ", full));
  target.resize(static_cast<size_t>(size));
  return target;
}

bool HostFs::Exists(absl::string_view path) const {
  return ::access(Path(path).c_str(), F_OK) == 0;
}

}  // namespace fleet::agent
