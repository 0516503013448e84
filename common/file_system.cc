#include "common/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/errno_text.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

absl::Status Errno(absl::string_view what, const std::string& path) {
  const int error = errno;
  const std::string message = absl::StrCat(what, " ", path);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return absl::ResourceExhaustedError(absl::StrCat(message, ": ", ErrnoText(error)));
  }
  return absl::ErrnoToStatus(error, message);
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

class RealAppendFile final : public AppendFile {
 public:
  RealAppendFile(ScopedFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  absl::Status Append(absl::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return Errno("write", path_);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    return ::fdatasync(fd_.get()) == 0 ? absl::OkStatus() : Errno("sync", path_);
  }

 private:
  const ScopedFd fd_;
  const std::string path_;
};

class RealFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<AppendFile>> Create(const std::string& path) override {
    return Open(path, O_CREAT | O_EXCL);
  }

  absl::StatusOr<std::unique_ptr<AppendFile>> OpenToAppend(const std::string& path) override {
    return Open(path, 0);
  }

  absl::StatusOr<std::string> Read(const std::string& path, uint64_t offset,
                                   size_t bytes_max) override {
    const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info = {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return Errno("open", path);
    const uint64_t size = static_cast<uint64_t>(info.st_size);
    std::string bytes(std::min<uint64_t>(bytes_max, size - std::min(size, offset)), '\0');
    size_t used = 0;
    while (used < bytes.size()) {
      const ssize_t got = ::pread(fd.get(), bytes.data() + used, bytes.size() - used,
                                  static_cast<off_t>(offset + used));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Errno("read", path);
      if (got == 0) break;
      used += static_cast<size_t>(got);
    }
    bytes.resize(used);
    return bytes;
  }

  absl::Status Truncate(const std::string& path, uint64_t bytes) override {
    const ScopedFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.valid()) return Errno("open", path);
    if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return Errno("truncate", path);
    return ::fdatasync(fd.get()) == 0 ? absl::OkStatus() : Errno("sync", path);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    return ::rename(from.c_str(), to.c_str()) == 0 ? absl::OkStatus() : Errno("rename", from);
  }

  absl::Status Remove(const std::string& path) override {
    return ::unlink(path.c_str()) == 0 ? absl::OkStatus() : Errno("remove", path);
  }

  absl::Status MakeDirectory(const std::string& path) override {
    return ::mkdir(path.c_str(), 0700) == 0 ? absl::OkStatus() : Errno("make directory", path);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    const ScopedFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return Errno("open", path);
    return ::fsync(fd.get()) == 0 ? absl::OkStatus() : Errno("sync", path);
  }

  absl::Status RemoveDirectory(const std::string& path) override {
    return ::rmdir(path.c_str()) == 0 ? absl::OkStatus() : Errno("remove", path);
  }

  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
    if (directory == nullptr) return Errno("list", path);
    std::vector<Entry> entries;
    while (const dirent* found = ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe)
      const std::string name = found->d_name;
      struct stat info = {};
      // Gone since it was listed, or neither file nor directory: not ours.
      if (name == "." || name == ".." ||
          ::fstatat(::dirfd(directory.get()), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;
      }
      if (S_ISDIR(info.st_mode)) entries.push_back({name, 0});
      if (S_ISREG(info.st_mode)) entries.push_back({name, static_cast<uint64_t>(info.st_size)});
    }
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return entries;
  }

 private:
  static absl::StatusOr<std::unique_ptr<AppendFile>> Open(const std::string& path, int flags) {
    ScopedFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0600));
    if (!fd.valid()) return Errno("open", path);
    return std::make_unique<RealAppendFile>(std::move(fd), path);
  }
};

}  // namespace

FileSystem& FileSystem::Real() {
  static RealFileSystem files;
  return files;
}

// What is synced in a directory is on the disk only once the directory's own name is. One that is
// there already may have been made by a run that died before it synced the name.
absl::Status MakeDirectories(FileSystem& files, const std::string& path) {
  const std::string parent = ParentOf(path);
  absl::Status made = files.MakeDirectory(path);
  if (absl::IsNotFound(made)) {
    FLEET_RETURN_IF_ERROR(MakeDirectories(files, parent));
    made = files.MakeDirectory(path);
  } else if (made.ok()) {
    FLEET_RETURN_IF_ERROR(files.SyncDirectory(ParentOf(parent)));
  }
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  return files.SyncDirectory(parent);
}

absl::StatusOr<std::string> ReadWhole(FileSystem& files, const std::string& path,
                                      size_t bytes_max) {
  absl::StatusOr<std::string> bytes = files.Read(path, 0, bytes_max + 1);
  if (bytes.ok() && bytes->size() > bytes_max) {
    return absl::ResourceExhaustedError(absl::StrCat(path, " has more than ", bytes_max, " bytes"));
  }
  return bytes;
}

absl::Status WriteWhole(FileSystem& files, const std::string& path, absl::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".new");
  files.Remove(temporary).IgnoreError();  // of a write that was cut short; mostly not there
  {
    FLEET_ASSIGN_OR_RETURN(const std::unique_ptr<AppendFile> file, files.Create(temporary));
    FLEET_RETURN_IF_ERROR(file->Append(bytes));
    FLEET_RETURN_IF_ERROR(file->Sync());
  }
  FLEET_RETURN_IF_ERROR(files.Rename(temporary, path));
  return files.SyncDirectory(ParentOf(path));
}

}  // namespace fleet
