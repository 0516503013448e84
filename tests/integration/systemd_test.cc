// The systemd check against a real systemd: the first process of namespaces and control groups of
// its own, with a few units and no connection to the machine's own systemd, if it has one.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "agent/checks/systemd_check.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

using ::testing::Contains;
using ::testing::StartsWith;

constexpr char kSystemd[] = "/lib/systemd/systemd";

/// What the first process does before it becomes systemd. Units are in $1.
constexpr char kSetup[] = R"(
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir /run/units
cp "$1"/* /run/units
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
exec unshare --kill-child -pmfuinC --mount-proc bash -c "$3" setup "$1"
)";

constexpr char kLeave[] = R"(
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
  [ -d "$tree/$1" ] && find "$tree/$1" -depth -type d -exec rmdir {} ';'
done 2>/dev/null; true
)";

/// A systemd with units of its own; killed with all that it started.
class Systemd {
 public:
  Systemd() : group_(absl::StrCat("fleet-test-", ::getpid(), "-", ++count_)) {
    WriteUnit("fleet.target", "[Unit]\nWants=good.service bad.service loop.service\n");
    WriteUnit("good.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    WriteUnit("bad.service", "[Service]\nExecStart=/bin/false\n");
    WriteUnit("loop.service",
              "[Unit]\nStartLimitIntervalSec=0\n"
              "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=200ms\n");
    WriteUnit("idle.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    Process::Options options;
    options.output_path = log_dir_ / "log";
    process_ = std::make_unique<Process>(
        std::vector<std::string>{"bash", "-c", kJoin, "join", units_.path(), group_, kSetup},
        options);
  }
  ~Systemd() {
    process_.reset();  // unshare takes the namespace's first process, and so all of it, along
    WaitFor([this] {
      RunProgram({"bash", "-c", kLeave, "leave", group_});
      return RunProgram({"bash", "-c", "[ -z \"$(ls -d /sys/fs/cgroup/{,*/}$1)\" ]", "ls", group_})
                 .exit_code == 0;
    });
  }

  /// Its root as seen from here, once it has started its units; empty when it cannot run here.
  std::string Root() {
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
  std::string Log() const { return ReadFile(log_dir_ / "log"); }
  /// Runs systemctl inside.
  Output Control(std::vector<std::string> arguments) const {
    std::vector<std::string> argv = {"nsenter", "-t", std::to_string(pid_),
                                     "-m",      "-p", "systemctl"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return RunProgram(argv);
  }
  pid_t pid() const { return pid_; }

  /// Runs `body` in a child within its process namespace: systemd's own socket takes nobody whose
  /// process it cannot see. Returns whether no expectation failed there.
  /// `outside` runs here meanwhile.
  bool Inside(
      const std::function<void()>& body, const std::function<void()>& outside = [] {}) const {
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

 private:
  void WriteUnit(absl::string_view name, absl::string_view text) {
    const std::string start = absl::StartsWith(text, "[Unit]\n") ? "" : "[Unit]\n";
    std::string whole = absl::StrCat(start, text);
    whole.insert(7, "DefaultDependencies=no\n");
    WriteFile(units_ / name, whole);
  }

  static inline int count_ = 0;
  const std::string group_;
  TempDir units_;
  TempDir log_dir_;
  std::unique_ptr<Process> process_;
  pid_t pid_ = 0;
};

class SystemdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!IsRoot()) GTEST_SKIP() << "not root: cannot make namespaces";
    if (::access(kSystemd, X_OK) != 0) GTEST_SKIP() << "systemd is not installed";
    if (!HasProgram("unshare") || !HasProgram("nsenter")) GTEST_SKIP() << "util-linux is missing";
    systemd_ = std::make_unique<Systemd>();
    root_ = systemd_->Root();
    if (root_.empty())
      GTEST_SKIP() << "systemd cannot run in a namespace here: " << systemd_->Log();
    runner_ = std::make_unique<CheckRunner>(agent::HostFs(root_));
    runner_->UseRealClock();
    runner_->options().systemd.required = {"good.service", "idle.service", "nothing.service"};
    check_ = agent::MakeSystemdCheck(runner_->env());
  }
  CheckResult Run() { return runner_->Run(*check_); }

  std::unique_ptr<Systemd> systemd_;
  std::string root_;
  std::unique_ptr<CheckRunner> runner_;
  std::unique_ptr<agent::Check> check_;
};

TEST_F(SystemdTest, SeesWhatSystemdSees) {
  EXPECT_TRUE(systemd_->Inside([this] {
    CheckResult result;
    ASSERT_TRUE(WaitFor([&] {
      result = Run();
      return result.status.ok() &&
             absl::StrContains(absl::StrJoin(result.items(), "\n"), "bad.serv");
    })) << result.status
        << systemd_->Log();
    EXPECT_THAT(result.items(), Contains("good.service ok running"));
    EXPECT_THAT(result.items(), Contains("idle.service crit required, but inactive"));
    EXPECT_THAT(result.items(),
                Contains("nothing.service crit required, but there is no such unit"));
    EXPECT_THAT(result.items(), Contains(::testing::MatchesRegex(
                                    "bad.service warn failed .* ago: it exited with an error")));
    EXPECT_EQ(
        result.value(R"(node_systemd_unit_state{name="bad.service",state="failed",type="simple"})"),
        1);

    // The loop shows at the first look, for it is waiting for its next start almost always.
    ASSERT_TRUE(WaitFor([&] {
      check_ = agent::MakeSystemdCheck(runner_->env());
      result = Run();
      return absl::StrContains(absl::StrJoin(result.items(), "\n"),
                               "loop.service warn keeps dying");
    })) << absl::StrJoin(result.items(), "\n");

    EXPECT_EQ(systemd_->Control({"start", "idle.service"}).exit_code, 0);
    EXPECT_EQ(systemd_->Control({"reset-failed", "bad.service"}).exit_code, 0);
    result = Run();
    EXPECT_THAT(result.items(), Contains("idle.service ok running"));
    EXPECT_THAT(result.items(), ::testing::Not(Contains(StartsWith("bad.service"))));
  }));
}

TEST_F(SystemdTest, KeepsItsConnectionAndMendsIt) {
  EXPECT_TRUE(systemd_->Inside([this] {
    ASSERT_TRUE(WaitFor([&] { return Run().status.ok(); }));
    EXPECT_THAT(Run().status, IsOk());
    ASSERT_EQ(systemd_->Control({"daemon-reexec"}).exit_code, 0);
    EXPECT_TRUE(WaitFor([&] { return Run().status.ok(); }));
  }));
}

TEST_F(SystemdTest, NoticesThatSystemdHangsWithinTheDeadline) {
  // Only from outside can the first process of a namespace be stopped: each side tells the other.
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const ScopedFd inside(ends[0]);
  const ScopedFd outside(ends[1]);
  const timeval patience = {.tv_sec = 60, .tv_usec = 0};
  for (const int end : ends) {
    ASSERT_EQ(::setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
  }
  const auto meet = [](const ScopedFd& end) {
    char byte = 0;
    return ::write(end.get(), &byte, 1) == 1 && ::read(end.get(), &byte, 1) == 1;
  };
  const auto expect_stuck = [this] {
    const absl::Time start = absl::Now();
    EXPECT_THAT(Run().status, HasCode(absl::StatusCode::kDeadlineExceeded));
    EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  };
  EXPECT_TRUE(systemd_->Inside(
      [&] {
        EXPECT_TRUE(WaitFor([&] { return Run().status.ok(); }));
        meet(inside);  // now it runs
        meet(inside);  // now it is stopped
        runner_->set_deadline(absl::Milliseconds(500));
        expect_stuck();
        // A new connection hangs in the handshake, which has no deadline of its own in sd-bus.
        expect_stuck();
        meet(inside);  // now it may go on
        runner_->set_deadline(absl::Seconds(5));
        EXPECT_TRUE(WaitFor([&] { return Run().status.ok(); }));
      },
      [&] {
        meet(outside);
        ::kill(systemd_->pid(), SIGSTOP);
        meet(outside);
        meet(outside);
        ::kill(systemd_->pid(), SIGCONT);
      }));
}

/// A host whose bus socket is held by something else.
class WrongBusTest : public ::testing::Test {
 protected:
  WrongBusTest() {
    host_.Write("run/systemd/system/.keep", "").Write("run/dbus/.keep", "");
    socket_ = ScopedFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = host_.root() + "/run/dbus/system_bus_socket";
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    FLEET_ASSERT(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) ==
                 0);
    runner_.UseRealClock();
    runner_.set_deadline(absl::Milliseconds(500));
  }
  TempHost host_;
  ScopedFd socket_;
  CheckRunner runner_{host_.fs()};
};

TEST_F(WrongBusTest, ThatNobodyListensOnIsUnavailable) {
  EXPECT_THAT(runner_.Run(agent::MakeSystemdCheck).status, HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(WrongBusTest, ThatNeverAnswersIsStuck) {
  ASSERT_EQ(::listen(socket_.get(), 8), 0);
  EXPECT_THAT(runner_.Run(agent::MakeSystemdCheck).status,
              HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(WrongBusTest, ThatSpeaksGarbageIsAnError) {
  ASSERT_EQ(::listen(socket_.get(), 8), 0);
  std::jthread garbage([this] {
    const ScopedFd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const std::string noise = "HTTP/1.1 400 Bad Request\r\n\r\n";
    (void)!::write(peer.get(), noise.data(), noise.size());
    char buffer[512];
    while (::read(peer.get(), buffer, sizeof(buffer)) > 0) {
    }
  });
  EXPECT_FALSE(runner_.Run(agent::MakeSystemdCheck).status.ok());
}

}  // namespace
}  // namespace fleet::test
