#include "agent/checks/filesystem_stats.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/scoped_fd.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr size_t kHelpersMax = 32;
constexpr absl::Duration kBackoffMin = absl::Seconds(30);
constexpr absl::Duration kBackoffMax = absl::Minutes(10);

/// One message from the helper; the first, sent at its start, has `error` kReady.
struct Answer {
  int32_t error;  // errno of statvfs
  FilesystemUsage usage;
};
constexpr int32_t kReady = -1;

/// Returns errno, 0 for none.
int Ask(const char* path, FilesystemUsage& usage) {
  struct statvfs stat;
  if (::statvfs(path, &stat) != 0) return errno;
  const auto block = static_cast<double>(stat.f_frsize);
  usage = {.size_bytes = static_cast<double>(stat.f_blocks) * block,
           .free_bytes = static_cast<double>(stat.f_bfree) * block,
           .available_bytes = static_cast<double>(stat.f_bavail) * block,
           .files = static_cast<double>(stat.f_files),
           .files_free = static_cast<double>(stat.f_ffree),
           .transfer_ratio = static_cast<double>(stat.f_bsize) / std::max(block, 1.0)};
  return 0;
}

/// A process of ours that asks for one mount.
class Helper {
 public:
  Helper() = default;
  ~Helper() { Kill(); }
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  /// Starts it unless it runs. Errors: by errno; kDeadlineExceeded while a killed one does not die.
  absl::Status Start(const std::string& program) {
    if (!Reap(0)) return absl::DeadlineExceededError("the last statvfs still hangs in the kernel");
    if (socket_.valid()) return absl::OkStatus();
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      return absl::ErrnoToStatus(errno, "socketpair");
    }
    ScopedFd ours(ends[0]);
    const ScopedFd theirs(ends[1]);
    if (const int error = Spawn(program, theirs.get()); error != 0) {
      return absl::ErrnoToStatus(error, absl::StrCat("start ", program));
    }
    socket_ = std::move(ours);
    ready_ = false;
    return absl::OkStatus();
  }

  /// Sends `path`; a helper that died meanwhile is noticed here.
  bool Send(const std::string& path) {
    if (::send(socket_.get(), path.data(), path.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
      return true;
    }
    Kill();
    return false;
  }

  /// Takes one message, if there is one. Returns whether it was the answer.
  bool Receive(Answer& answer) {
    const ssize_t got = ::recv(socket_.get(), &answer, sizeof(answer), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got != static_cast<ssize_t>(sizeof(answer))) {
      answer = {.error = EPIPE, .usage = {}};
      Kill();
      return true;
    }
    if (answer.error != kReady) return true;
    ready_ = true;
    return false;
  }

  /// Ends it, at once where the kernel lets it: a request that a FUSE server has read but does not
  /// answer holds even a killed process.
  void Kill() {
    socket_.Reset();
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    // It is gone within milliseconds or not for long.
    Reap(20);
  }

  /// Whether no killed process is left, looking once a millisecond.
  bool Reap(int milliseconds) {
    if (pid_ <= 0 || socket_.valid()) return true;
    for (int i = 0; i <= milliseconds; ++i) {
      if (i > 0) ::poll(nullptr, 0, 1);
      if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
        pid_ = 0;
        return true;
      }
    }
    return false;
  }

  int fd() const { return socket_.get(); }
  bool ready() const { return ready_; }

 private:
  int Spawn(const std::string& program, int theirs) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, theirs, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    // Signals that our own threads block must end a helper.
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::string name = program;
    std::string argument = kStatfsHelperArgument;
    char* argv[] = {name.data(), argument.data(), nullptr};
    char* environment[] = {nullptr};
    const int error = posix_spawn(&pid_, program.c_str(), &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) pid_ = 0;
    return error;
  }

  ScopedFd socket_;
  pid_t pid_ = 0;
  bool ready_ = false;
};

class KernelStats final : public FilesystemStats {
 public:
  explicit KernelStats(std::string program) : program_(std::move(program)) {}

  absl::StatusOr<FilesystemUsage> Local(const std::string& path) override {
    FilesystemUsage usage;
    const int error = Ask(path.c_str(), usage);
    if (error != 0) return absl::ErrnoToStatus(error, "statvfs");
    return usage;
  }

  std::vector<absl::StatusOr<FilesystemUsage>> Remote(absl::Span<const std::string> paths,
                                                      absl::Duration timeout) override {
    DropOthers(paths);
    std::vector<absl::StatusOr<FilesystemUsage>> results(
        paths.size(), absl::DeadlineExceededError("no answer yet"));
    std::vector<size_t> waiting;
    for (size_t i = 0; i < paths.size(); ++i) {
      results[i] = Begin(paths[i]);
      if (absl::IsUnavailable(results[i].status())) waiting.push_back(i);
    }
    const SteadyTime end = SteadyAfter(Clock::Real().SteadyNow(), timeout);
    while (!waiting.empty() && Clock::Real().SteadyNow() < end) {
      Wait(paths, waiting, end);
      std::erase_if(waiting, [&](size_t i) { return Take(paths[i], results[i]); });
    }
    for (const size_t i : waiting) results[i] = GiveUp(paths[i], timeout);
    return results;
  }

 private:
  struct Target {
    Helper helper;
    SteadyTime retry{};        // hung: left alone until then
    absl::Duration backoff{};  // the last one
  };

  /// kUnavailable: asked, the answer is to come.
  absl::Status Begin(const std::string& path) {
    if (program_.empty()) return absl::InternalError("no helper program to ask it with");
    if (path.size() >= PATH_MAX) return absl::InvalidArgumentError("path too long");
    if (!targets_.contains(path) && targets_.size() >= kHelpersMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kHelpersMax, " filesystems that need a helper"));
    }
    Target& target = targets_[path];
    const absl::Duration left = target.retry - Clock::Real().SteadyNow();
    if (left > absl::ZeroDuration()) return Hung(left);
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (const absl::Status started = target.helper.Start(program_); !started.ok()) {
        return absl::IsUnavailable(started) ? absl::InternalError(started.message()) : started;
      }
      if (target.helper.Send(path)) return absl::UnavailableError("asked");
    }
    return absl::InternalError("the helper process ends at once");
  }

  void Wait(absl::Span<const std::string> paths, const std::vector<size_t>& waiting,
            SteadyTime end) {
    std::vector<pollfd> fds;
    for (const size_t i : waiting) {
      fds.push_back({.fd = targets_[paths[i]].helper.fd(), .events = POLLIN, .revents = 0});
    }
    const absl::Duration left = end - Clock::Real().SteadyNow();
    ::poll(fds.data(), fds.size(),
           static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(left))) + 1);
  }

  bool Take(const std::string& path, absl::StatusOr<FilesystemUsage>& result) {
    Target& target = targets_[path];
    Answer answer;
    if (!target.helper.Receive(answer)) return false;
    target.backoff = absl::ZeroDuration();
    if (answer.error == 0) {
      result = answer.usage;
    } else if (answer.error == EPIPE) {
      result = absl::InternalError("the helper process died");
    } else {
      result = absl::ErrnoToStatus(answer.error, "statvfs");
    }
    return true;
  }

  absl::Status GiveUp(const std::string& path, absl::Duration timeout) {
    Target& target = targets_[path];
    const bool started = target.helper.ready();
    target.helper.Kill();
    if (!started) return absl::InternalError("the helper process did not start in time");
    target.backoff = std::clamp(target.backoff * 2, kBackoffMin, kBackoffMax);
    target.retry = SteadyAfter(Clock::Real().SteadyNow(), target.backoff);
    return absl::DeadlineExceededError(absl::StrCat("statvfs did not answer within ",
                                                    HumanDuration(timeout), ", asked again in ",
                                                    HumanDuration(target.backoff)));
  }

  static absl::Status Hung(absl::Duration left) {
    return absl::DeadlineExceededError(
        absl::StrCat("statvfs did not answer, asked again in ", HumanDuration(left)));
  }

  /// Ends the helpers of mounts that went; one that does not die yet is kept until it does.
  void DropOthers(absl::Span<const std::string> paths) {
    for (auto target = targets_.begin(); target != targets_.end();) {
      Helper& helper = target->second.helper;
      const bool wanted = std::find(paths.begin(), paths.end(), target->first) != paths.end();
      if (!wanted && helper.fd() >= 0) helper.Kill();
      const bool reaped = helper.Reap(0);
      target = wanted || !reaped ? std::next(target) : targets_.erase(target);
    }
  }

  const std::string program_;
  std::map<std::string, Target> targets_;
};

}  // namespace

std::unique_ptr<FilesystemStats> MakeFilesystemStats(std::string program) {
  return std::make_unique<KernelStats>(std::move(program));
}

int StatfsHelperMain() {
  // A helper that hangs must not outlive the agent, whatever ends that.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "fleet-statfs");
  Answer answer = {.error = kReady, .usage = {}};
  char path[PATH_MAX];
  while (::send(STDIN_FILENO, &answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer)) {
    const ssize_t got = ::recv(STDIN_FILENO, path, sizeof(path) - 1, 0);
    if (got <= 0) return 0;
    path[got] = '\0';
    answer.error = Ask(path, answer.usage);
  }
  return 1;
}

}  // namespace fleet::agent
