#include "common/owned_directory.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <deque>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status_macros.h"

namespace fleet {
namespace {

constexpr int kLinksMax = 40;  // as the kernel

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(what, " ", path));
}

/// Of this thread alone: glibc's setgroups changes all of them.
bool SetGroups(const std::vector<gid_t>& groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

/// A walk along a path, link by link.
class Walk {
 public:
  Walk(const std::string& path, bool make) : path_(path), make_(make) { Prepend(path); }

  absl::StatusOr<OwnedDirectory> Run() {
    FLEET_RETURN_IF_ERROR(
        Enter(ScopedFd(::open(absl::StartsWith(path_, "/") ? "/" : ".", kDirectory))));
    while (!parts_.empty()) {
      const std::string part = std::move(parts_.front());
      parts_.pop_front();
      FLEET_RETURN_IF_ERROR(Step(part));
    }
    return OwnedDirectory{std::move(fd_), user_};
  }

 private:
  static constexpr int kDirectory = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

  void Prepend(absl::string_view path) {
    const std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
    parts_.insert(parts_.begin(), parts.begin(), parts.end());
  }

  /// What is somebody's, they may swap: from there on only their own rights count.
  absl::Status Become(const struct stat& info) {
    if (acting_.has_value() || ::geteuid() != 0 || info.st_uid == 0) return absl::OkStatus();
    user_ = {info.st_uid, info.st_gid};
    acting_.emplace(user_);
    return acting_->status();
  }

  absl::Status FailedHere(absl::string_view what) const {
    return Failed(what, absl::StrCat(path_, AsWhom(user_)));
  }

  absl::Status Enter(ScopedFd fd) {
    struct stat info = {};
    if (!fd.valid() || ::fstat(fd.get(), &info) != 0) return FailedHere("open");
    fd_ = std::move(fd);
    return Become(info);
  }

  absl::Status Step(const std::string& part) {
    ScopedFd next(::openat(fd_.get(), part.c_str(), kDirectory));
    if (!next.valid() && errno == ENOENT && make_) {
      if (::mkdirat(fd_.get(), part.c_str(), 0700) != 0 && errno != EEXIST) {
        return FailedHere("mkdir");
      }
      next = ScopedFd(::openat(fd_.get(), part.c_str(), kDirectory));
    }
    if (next.valid() || (errno != ENOTDIR && errno != ELOOP)) return Enter(std::move(next));
    return Follow(part);
  }

  absl::Status Follow(const std::string& part) {
    const ScopedFd link(::openat(fd_.get(), part.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info = {};
    if (!link.valid() || ::fstat(link.get(), &info) != 0) return FailedHere("open");
    if (!S_ISLNK(info.st_mode) || ++links_ > kLinksMax) {
      errno = S_ISLNK(info.st_mode) ? ELOOP : ENOTDIR;
      return FailedHere("open");
    }
    FLEET_RETURN_IF_ERROR(Become(info));
    char target[PATH_MAX];
    const ssize_t size = ::readlinkat(link.get(), "", target, sizeof(target));
    if (size < 0) return FailedHere("readlink");
    const absl::string_view text(target, static_cast<size_t>(size));
    Prepend(text);
    return absl::StartsWith(text, "/") ? Enter(ScopedFd(::open("/", kDirectory)))
                                       : absl::OkStatus();
  }

  const std::string& path_;
  const bool make_;
  std::deque<std::string> parts_;
  int links_ = 0;
  ScopedFd fd_;
  FileUser user_;
  std::optional<ActingAs> acting_;
};

}  // namespace

std::string AsWhom(const FileUser& user) {
  if (user.uid == 0) return "";
  return absl::StrCat(" (tried as the user ", user.uid,
                      ", who owns a directory on the way there and could swap it)");
}

ActingAs::ActingAs(const FileUser& user) : active_(user.uid != 0) {
  if (!active_) return;
  const int count = ::getgroups(0, nullptr);
  former_groups_.resize(count > 0 ? static_cast<size_t>(count) : 0);
  if (count > 0 && ::getgroups(count, former_groups_.data()) != count) former_groups_.clear();
  const bool alone = SetGroups({});
  former_gid_ = static_cast<gid_t>(::setfsgid(user.gid));
  ::setfsuid(user.uid);
  // They return what was before, not whether it worked.
  const bool is_user = static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))) == user.uid &&
                       static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1))) == user.gid;
  if (!alone || !is_user) {
    status_ = absl::PermissionDeniedError(
        absl::StrCat("this process may not write as the user ", user.uid));
  }
}

ActingAs::~ActingAs() {
  if (!active_) return;
  ::setfsuid(0);
  ::setfsgid(former_gid_);
  SetGroups(former_groups_);
}

absl::StatusOr<OwnedDirectory> OpenOwnedDirectory(const std::string& path, bool make) {
  return Walk(path, make).Run();
}

}  // namespace fleet
