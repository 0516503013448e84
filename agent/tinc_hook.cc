#include "agent/tinc_hook.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/host_fs.h"
#include "agent/parse/tinc_config.h"
#include "common/escape.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::agent {
namespace {

constexpr off_t kStateBytesMax = 256 << 10;
constexpr int kLockTries = 20;
constexpr timespec kLockPause = {0, 10'000'000};
constexpr int kUsageExit = 64;

absl::Status WriteAll(int fd, absl::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return absl::ErrnoToStatus(errno, absl::StrCat("write ", path));
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

absl::StatusOr<ScopedFd> OpenState(const std::string& path) {
  ScopedFd fd(::open(path.c_str(),
                     O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is no plain file"));
  }
  return fd;
}

/// Whether `path` still names the file that is open: a compacting writer puts a new one there.
bool IsStill(int fd, const std::string& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/// Replaces the file by the newest event of each node of each net.
absl::Status Compact(const std::string& path) {
  FLEET_ASSIGN_OR_RETURN(const std::string text, HostFs().Read(path));
  FLEET_ASSIGN_OR_RETURN(const TincHookState state, ParseTincHook(text));
  std::map<std::string, const TincHookEvent*> newest;
  for (const TincHookEvent& event : state.events) {
    newest[absl::StrCat(event.net, " ", event.interface, " ", event.node)] = &event;
  }
  std::string kept;
  for (const auto& [key, event] : newest) kept += TincHookLine(*event);
  const std::string temporary = absl::StrCat(path, ".", ::getpid());
  {
    const ScopedFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", temporary));
    FLEET_RETURN_IF_ERROR(WriteAll(fd.get(), kept, temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("rename ", temporary));
  }
  return absl::OkStatus();
}

std::string FromEnvironment(const char* name) {
  const char* const value = ::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

TincHookEvent EventNow(bool up) {
  TincHookEvent event;
  event.up = up;
  event.boot_id = HostFs().ReadTrimmed("proc/sys/kernel/random/boot_id").value_or("");
  timespec since_boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  event.since_boot = absl::DurationFromTimespec(since_boot);
  event.time = absl::Now();
  event.net = FromEnvironment("NETNAME");
  event.interface = FromEnvironment("INTERFACE");
  event.node = FromEnvironment("NODE");
  event.address = FromEnvironment("REMOTEADDRESS");
  return event;
}

}  // namespace

absl::Status AppendTincHook(const std::string& path, const TincHookEvent& event) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) ::mkdir(path.substr(0, slash).c_str(), 0755);
  FLEET_ASSIGN_OR_RETURN(ScopedFd fd, OpenState(path));
  bool locked = false;
  for (int i = 0; i < kLockTries && !locked; ++i) {
    locked = ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
    if (!locked) ::nanosleep(&kLockPause, nullptr);
    if (!IsStill(fd.get(), path)) {
      FLEET_ASSIGN_OR_RETURN(fd, OpenState(path));
      locked = false;
    }
  }
  // A world with another umask shall be able to read it too.
  ::fchmod(fd.get(), 0644);
  // One write of one line: whole for every reader, with the lock or without.
  FLEET_RETURN_IF_ERROR(WriteAll(fd.get(), TincHookLine(event), path));
  struct stat status {};
  if (!locked || ::fstat(fd.get(), &status) != 0 || status.st_size <= kStateBytesMax) {
    return absl::OkStatus();
  }
  return Compact(path);
}

int TincHookMain(int argc, const char* const* argv) {
  std::string path = kTincHookStatePath;
  std::string event;
  bool usable = true;
  // argv: fleet-agent tinc-hook up|down [--state FILE]
  for (int i = 2; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--state" && i + 1 < argc) {
      path = argv[++i];
    } else if (event.empty() && (argument == "up" || argument == "down")) {
      event = std::string(argument);
    } else {
      usable = false;
    }
  }
  if (!usable || event.empty() || !IsTincNodeName(FromEnvironment("NODE"))) {
    std::fprintf(stderr,
                 "usage: fleet-agent tinc-hook up|down [--state FILE]\n"
                 "tincd's host-up and host-down run it, with NODE, NETNAME, INTERFACE and "
                 "REMOTEADDRESS in the environment.\n");
    return kUsageExit;
  }
  const absl::Status appended = AppendTincHook(path, EventNow(event == "up"));
  if (appended.ok()) return 0;
  std::fprintf(stderr, "fleet-agent tinc-hook: %s\n", std::string(appended.message()).c_str());
  return 1;
}

}  // namespace fleet::agent
