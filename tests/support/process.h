#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace fleet::test {

/// A program started by a test: killed and reaped at the end of its life, whatever happened before.
class Process {
 public:
  struct Options {
    /// stdout and stderr go there (appended); empty: to /dev/null.
    std::string output_path;
    /// Added to or replacing what the test itself has.
    std::vector<std::pair<std::string, std::string>> environment;
    /// Started as this user ("postgres"), its group and nobody else's; needs root.
    std::string user;
    std::string working_directory;
  };

  /// Starts argv[0] (looked up in PATH). Aborts when it cannot be started at all.
  explicit Process(std::vector<std::string> argv) : Process(std::move(argv), Options{}) {}
  Process(std::vector<std::string> argv, const Options& options);
  ~Process();
  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}
  Process& operator=(Process&&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  /// Sends `signal` to it and, when it leads a process group of its own (it does), to nobody else.
  void Kill(int signal);
  /// The exit code, or 128 + signal, when it ends within `timeout`.
  std::optional<int> Wait(absl::Duration timeout);
  /// SIGTERM, then SIGKILL after `grace`. Returns the exit code as Wait does.
  int Stop(absl::Duration grace = absl::Seconds(10));

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// What a program that ended printed (stdout and stderr mixed) and returned.
struct Output {
  int exit_code = -1;
  std::string text;
};
/// Runs a program to its end, at most `timeout` (then it is killed; exit code 137).
Output RunProgram(std::vector<std::string> argv, absl::Duration timeout = absl::Seconds(30));
/// As RunProgram, in a shell: for pipes and redirections in tests.
Output Shell(absl::string_view command, absl::Duration timeout = absl::Seconds(30));

/// A TCP port of 127.0.0.1 that is free now and was not handed out by this process before.
uint16_t FreePort();
/// Whether something listens on that port of 127.0.0.1.
bool AcceptsConnections(uint16_t port);

/// Asks `ready` again every few milliseconds of real time until it is true or `timeout` passed.
bool WaitFor(const std::function<bool()>& ready, absl::Duration timeout = absl::Seconds(20));

/// The whole file, or empty when it cannot be read.
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, absl::string_view text);

/// Whether `program` is in PATH (or /usr/sbin, or Debian's /usr/lib/postgresql/15/bin).
bool HasProgram(absl::string_view program);
bool IsRoot();

}  // namespace fleet::test
