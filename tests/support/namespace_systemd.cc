#include "tests/support/namespace_systemd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::test {
namespace {

constexpr char kSystemd[] = "/lib/systemd/systemd";

/// What the first process does before it becomes systemd. Units are in $1.
constexpr char kSetup[] = R"(
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir /run/units
cp -r "$1"/. /run/units
if [ -d /sys/fs/cgroup/unified ]; then
  umount -R /sys/fs/cgroup
  mount -t tmpfs tmpfs /sys/fs/cgroup
  mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
  mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
eval "$2"
# As systemd itself does outside containers; credentials are mounted by way of it.
mount --make-rshared /
export container=fleet-test SYSTEMD_UNIT_PATH=/run/units
exec /lib/systemd/systemd --unit=fleet.target --log-target=console --show-status=no
)";

/// Joins a control group of its own before the namespaces are made, so that nothing is written into
/// the machine's.
constexpr char kJoin[] = R"(
set -e
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -f "$tree/cgroup.procs" ] || continue
  mkdir "$tree/$2"
  echo $$ > "$tree/$2/cgroup.procs"
done
exec unshare --kill-child -pmfuinC --mount-proc bash -c "$3" setup "$1" "$4"
)";

constexpr char kLeave[] = R"(
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -d "$tree/$1" ] && find "$tree/$1" -depth -type d -exec rmdir {} ';'
done 2>/dev/null; true
)";

}  // namespace

std::string NamespaceSystemd::Missing() {
  if (!IsRoot()) return "root, to make namespaces";
  if (::access(kSystemd, X_OK) != 0) return "systemd";
  if (!HasProgram("unshare") || !HasProgram("nsenter")) return "util-linux";
  return "";
}

NamespaceSystemd::NamespaceSystemd(const Options& options)
    : group_(absl::StrCat("fleet-test-", ::getpid(), "-", ++count_)) {
  for (const auto& [name, text] : options.units) {
    std::filesystem::create_directories(std::filesystem::path(units_ / name).parent_path());
    WriteFile(units_ / name, text);
  }
  Process::Options process;
  process.output_path = log_dir_ / "log";
  process_ =
      std::make_unique<Process>(std::vector<std::string>{"bash", "-c", kJoin, "join", units_.path(),
                                                         group_, kSetup, options.setup},
                                process);
}

NamespaceSystemd::~NamespaceSystemd() {
  process_.reset();  // unshare takes the namespace's first process, and so all of it, along
  WaitFor([this] {
    RunProgram({"bash", "-c", kLeave, "leave", group_});
    return RunProgram({"bash", "-c", "[ -z \"$(ls -d /sys/fs/cgroup/{,*/}$1)\" ]", "ls", group_})
               .exit_code == 0;
  });
}

std::string NamespaceSystemd::Root() {
  std::string root;
  WaitFor(
      [&] {
        if (!process_->Running()) return true;
        const std::string child = ReadFile(
            absl::StrCat("/proc/", process_->pid(), "/task/", process_->pid(), "/children"));
        pid_ = 0;
        if (!absl::SimpleAtoi(child, &pid_)) return false;
        const std::string path = absl::StrCat("/proc/", pid_, "/root");
        if (::access((path + "/run/systemd/private").c_str(), F_OK) != 0) return false;
        root = path;
        return true;
      },
      absl::Seconds(15));
  return root;
}

Output NamespaceSystemd::RunInside(std::vector<std::string> argv) const {
  std::vector<std::string> whole = {"nsenter", "-t", std::to_string(pid_), "-m", "-p", "-n"};
  whole.insert(whole.end(), argv.begin(), argv.end());
  return RunProgram(whole);
}

Output NamespaceSystemd::Control(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), "systemctl");
  return RunInside(std::move(arguments));
}

bool NamespaceSystemd::Inside(const std::function<void()>& body,
                              const std::function<void()>& outside) const {
  const ScopedFd theirs(
      ::open(absl::StrCat("/proc/", pid_, "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC));
  const ScopedFd ours(::open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  FLEET_ASSERT(::setns(theirs.get(), CLONE_NEWPID) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  FLEET_ASSERT(::setns(ours.get(), CLONE_NEWPID) == 0);
  outside();
  int status = 0;
  FLEET_ASSERT(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::map<std::string, std::string> SampleUnits() {
  constexpr char kUnit[] = "[Unit]\nDefaultDependencies=no\n";
  return {
      {"fleet.target", absl::StrCat(kUnit, "Wants=good.service bad.service loop.service\n")},
      {"good.service", absl::StrCat(kUnit, "[Service]\nExecStart=/bin/sleep 1000\n")},
      {"bad.service", absl::StrCat(kUnit, "[Service]\nExecStart=/bin/false\n")},
      {"loop.service", absl::StrCat(kUnit,
                                    "StartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\n"
                                    "Restart=always\nRestartSec=200ms\n")},
      {"idle.service", absl::StrCat(kUnit, "[Service]\nExecStart=/bin/sleep 1000\n")},
  };
}

}  // namespace fleet::test
