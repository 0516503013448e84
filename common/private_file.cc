#include "common/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

/// Gives `fd`, which is to replace `name`, the owner and the mode that it is to have.
absl::Status Dress(int fd, const OwnedDirectory& directory, const std::string& name, FileKind kind,
                   const std::string& path) {
  struct stat like = {};
  mode_t mode = 0600;
  if (::fstatat(directory.fd.get(), name.c_str(), &like, AT_SYMLINK_NOFOLLOW) == 0 &&
      !S_ISLNK(like.st_mode)) {
    if (S_ISDIR(like.st_mode)) {
      errno = EISDIR;
      return Failed("replace", path);
    }
    // Root's key that one group may read, and nobody else, is so for the daemon that uses it.
    const bool for_group = directory.user.uid == 0 && (like.st_mode & 0007) == 0;
    mode = like.st_mode & (kind != FileKind::kKey ? 0777 : for_group ? 0640 : 0600);
  } else if (::fstat(directory.fd.get(), &like) != 0) {
    return Failed("stat", DirectoryOf(path));
  }
  // Only root can give a file away; anybody else's is their own already.
  if (::geteuid() == 0 && directory.user.uid == 0 && ::fchown(fd, like.st_uid, like.st_gid) != 0) {
    return Failed("chown", path);
  }
  return ::fchmod(fd, mode) == 0 ? absl::OkStatus() : Failed("chmod", path);
}

}  // namespace

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<PendingFile> PendingFile::Create(const std::string& path, FileKind kind,
                                                absl::string_view suffix) {
  PendingFile file;
  file.path_ = path;
  file.name_ = path.substr(path.rfind('/') + 1);
  file.partial_ = absl::StrCat(file.name_, suffix);
  FLEET_ASSIGN_OR_RETURN(file.directory_, OpenOwnedDirectory(DirectoryOf(path), false));
  const ActingAs acting(file.directory_.user);
  FLEET_RETURN_IF_ERROR(acting.status());
  const int directory = file.directory_.fd.get();
  ::unlinkat(directory, file.partial_.c_str(), 0);
  file.fd_ = ScopedFd(::openat(directory, file.partial_.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.fd_.valid()) {
    return Failed("create", absl::StrCat(path, suffix, AsWhom(file.directory_.user)));
  }
  FLEET_RETURN_IF_ERROR(Dress(file.fd_.get(), file.directory_, file.name_, kind, path));
  return file;
}

PendingFile::~PendingFile() {
  if (!fd_.valid()) return;
  const ActingAs acting(directory_.user);
  ::unlinkat(directory_.fd.get(), partial_.c_str(), 0);
}

absl::Status PendingFile::Reserve(size_t bytes) {
  errno = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(bytes));
  return errno == 0 ? absl::OkStatus() : Failed("write", path_);
}

absl::Status PendingFile::Write(absl::string_view text) {
  off_t at = 0;
  while (!text.empty()) {
    const ssize_t wrote = ::pwrite(fd_.get(), text.data(), text.size(), at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return Failed("write", path_);
    text.remove_prefix(static_cast<size_t>(wrote));
    at += wrote;
  }
  if (::ftruncate(fd_.get(), at) != 0) return Failed("write", path_);
  return ::fsync(fd_.get()) == 0 ? absl::OkStatus() : Failed("fsync", path_);
}

absl::Status PendingFile::Commit() {
  const ActingAs acting(directory_.user);
  const int directory = directory_.fd.get();
  if (::renameat(directory, partial_.c_str(), directory, name_.c_str()) != 0) {
    return Failed("rename", path_);
  }
  fd_.Reset();
  const ScopedFd parent(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid() || ::fsync(parent.get()) != 0) return Failed("fsync", DirectoryOf(path_));
  return absl::OkStatus();
}

absl::Status WritePrivateFile(const std::string& path, absl::string_view text, FileKind kind) {
  FLEET_ASSIGN_OR_RETURN(PendingFile file, PendingFile::Create(path, kind, ".new"));
  FLEET_RETURN_IF_ERROR(file.Write(text));
  return file.Commit();
}

absl::Status MakePrivateDirectory(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return absl::OkStatus();
  return OpenOwnedDirectory(path, true).status();
}

}  // namespace fleet
