#include "common/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

absl::Status WriteAll(int fd, absl::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return Failed("write", path);
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  if (::fsync(fd) != 0) return Failed("fsync", path);
  return absl::OkStatus();
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WritePrivateFile(const std::string& path, absl::string_view text) {
  const std::string directory = DirectoryOf(path);
  const std::string partial = path + ".new";
  struct stat like = {};
  mode_t mode = 0600;
  if (::stat(path.c_str(), &like) == 0) {
    mode = like.st_mode & 07777;
  } else if (::stat(directory.c_str(), &like) != 0) {
    return Failed("stat", directory);
  }
  ::unlink(partial.c_str());
  const ScopedFd fd(
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return Failed("create", partial);
  absl::Status status = WriteAll(fd.get(), text, partial);
  // Only root can give a file away; anybody else's is their own already.
  if (status.ok() && ::geteuid() == 0 && ::fchown(fd.get(), like.st_uid, like.st_gid) != 0) {
    status = Failed("chown", partial);
  }
  if (status.ok() && ::fchmod(fd.get(), mode) != 0) status = Failed("chmod", partial);
  if (status.ok() && ::rename(partial.c_str(), path.c_str()) != 0)
    status = Failed("rename", partial);
  if (!status.ok()) {
    ::unlink(partial.c_str());
    return status;
  }
  const ScopedFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid() || ::fsync(parent.get()) != 0) return Failed("fsync", directory);
  return absl::OkStatus();
}

absl::Status MakePrivateDirectory(const std::string& path) {
  struct stat info = {};
  if (path.empty() || ::stat(path.c_str(), &info) == 0) return absl::OkStatus();
  const std::string parent = DirectoryOf(path);
  FLEET_RETURN_IF_ERROR(MakePrivateDirectory(parent));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed("mkdir", path);
  if (::geteuid() == 0 && ::stat(parent.c_str(), &info) == 0 &&
      ::chown(path.c_str(), info.st_uid, info.st_gid) != 0) {
    return Failed("chown", path);
  }
  return absl::OkStatus();
}

}  // namespace fleet
