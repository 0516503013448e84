#include "tests/support/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"
#include "tests/support/temp_host.h"

namespace fleet::test {
namespace {

constexpr absl::string_view kExtraPath = ":/usr/sbin:/sbin:/usr/lib/postgresql/15/bin";

std::string SearchPath() {
  const char* path = std::getenv("PATH");
  return absl::StrCat(path != nullptr ? path : "/usr/bin:/bin", kExtraPath);
}

std::string FindProgram(absl::string_view program) {
  if (program.find('/') != absl::string_view::npos) return std::string(program);
  for (const absl::string_view directory : absl::StrSplit(SearchPath(), ':', absl::SkipEmpty())) {
    std::string path = absl::StrCat(directory, "/", program);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

int ExitCode(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// What the child needs, prepared before the fork: only async-signal-safe calls come after it.
struct ChildPlan {
  std::string program;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  uid_t uid = 0;
  gid_t gid = 0;
  bool change_user = false;
};

ChildPlan MakePlan(std::vector<std::string>& argv, const Process::Options& options) {
  ChildPlan plan;
  plan.program = FindProgram(argv[0]);
  for (std::string& argument : argv) plan.argv.push_back(argument.data());
  plan.argv.push_back(nullptr);
  plan.environment.push_back(absl::StrCat("PATH=", SearchPath()));
  for (const auto& [name, value] : options.environment) {
    plan.environment.push_back(absl::StrCat(name, "=", value));
  }
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view name =
        absl::string_view(*entry).substr(0, absl::string_view(*entry).find('='));
    bool replaced = name == "PATH";
    for (const auto& [other, unused] : options.environment) replaced = replaced || other == name;
    if (!replaced) plan.environment.emplace_back(*entry);
  }
  for (std::string& entry : plan.environment) plan.envp.push_back(entry.data());
  plan.envp.push_back(nullptr);
  if (!options.user.empty()) {
    const passwd* user = ::getpwnam(options.user.c_str());  // NOLINT(concurrency-mt-unsafe)
    FLEET_ASSERT(user != nullptr);
    plan.uid = user->pw_uid;
    plan.gid = user->pw_gid;
    plan.change_user = true;
  }
  return plan;
}

[[noreturn]] void BecomeChild(const ChildPlan& plan, const Process::Options& options, int output) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, 0);
  ::dup2(output >= 0 ? output : null, 1);
  ::dup2(output >= 0 ? output : null, 2);
  if (plan.change_user &&
      (::setgroups(1, &plan.gid) != 0 || ::setgid(plan.gid) != 0 || ::setuid(plan.uid) != 0)) {
    ::_exit(126);
  }
  // After the change of user, which clears it.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (!options.working_directory.empty() && ::chdir(options.working_directory.c_str()) != 0) {
    ::_exit(126);
  }
  ::execve(plan.program.c_str(), plan.argv.data(), plan.envp.data());
  ::_exit(127);
}

}  // namespace

Process::Process(std::vector<std::string> argv, const Options& options) {
  ChildPlan plan = MakePlan(argv, options);
  if (plan.program.empty()) {
    std::fprintf(stderr, "no program %s\n", argv[0].c_str());
    FLEET_ASSERT(false);
  }
  const ScopedFd output(
      options.output_path.empty()
          ? -1
          : ::open(options.output_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  FLEET_ASSERT(options.output_path.empty() || output.valid());
  pid_ = ::fork();
  FLEET_ASSERT(pid_ >= 0);
  if (pid_ == 0) BecomeChild(plan, options, output.get());
  ::setpgid(pid_, pid_);
}

Process::~Process() {
  if (pid_ < 0 || status_.has_value()) return;
  ::kill(-pid_, SIGCONT);
  ::kill(-pid_, SIGKILL);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

bool Process::Running() { return !Wait(absl::ZeroDuration()).has_value(); }

void Process::Kill(int signal) {
  if (!status_.has_value()) ::kill(pid_, signal);
}

std::optional<int> Process::Wait(absl::Duration timeout) {
  WaitFor(
      [this] {
        int status = 0;
        if (!status_.has_value() && ::waitpid(pid_, &status, WNOHANG) == pid_) {
          status_ = ExitCode(status);
        }
        return status_.has_value();
      },
      timeout);
  return status_;
}

int Process::Stop(absl::Duration grace) {
  Kill(SIGTERM);
  if (!Wait(grace).has_value()) {
    ::kill(-pid_, SIGKILL);
    Wait(absl::Seconds(10));
  }
  return status_.value_or(-1);
}

Output RunProgram(std::vector<std::string> argv, absl::Duration timeout) {
  const TempDir dir;
  const std::string path = dir / "output";
  Process process(std::move(argv),
                  {.output_path = path, .environment = {}, .user = {}, .working_directory = {}});
  Output output;
  if (const std::optional<int> code = process.Wait(timeout)) {
    output.exit_code = *code;
  } else {
    output.exit_code = process.Stop(absl::ZeroDuration());
  }
  output.text = ReadFile(path);
  return output;
}

Output Shell(absl::string_view command, absl::Duration timeout) {
  return RunProgram({"/bin/sh", "-c", std::string(command)}, timeout);
}

bool AcceptsConnections(uint16_t port) {
  const ScopedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

uint16_t FreePort() {
  // Below those that the kernel gives to who asks for any: a server that is killed and started
  // again must find its port as it left it.
  static std::uniform_int_distribution<uint16_t> ports(20'000, 32'000);
  static std::mt19937 random{std::random_device()()};
  static std::mutex mutex;
  static std::set<uint16_t> given;
  const std::lock_guard<std::mutex> lock(mutex);
  while (true) {
    const ScopedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(ports(random));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool is_free =
        ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
    const uint16_t port = ntohs(address.sin_port);
    if (is_free && given.insert(port).second) return port;
  }
}

bool WaitFor(const std::function<bool()>& ready, absl::Duration timeout) {
  const auto end = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
  while (!ready()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    ::poll(nullptr, 0, 3);
  }
  return true;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void WriteFile(const std::string& path, absl::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

bool HasProgram(absl::string_view program) { return !FindProgram(program).empty(); }
bool IsRoot() { return ::geteuid() == 0; }

}  // namespace fleet::test
