// The systemd check against a real systemd: the first process of namespaces and control groups of
// its own, with a few units and no connection to the machine's own systemd, if it has one.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "agent/checks/systemd_check.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/namespace_systemd.h"
#include "tests/support/process.h"

namespace fleet::test {
namespace {

using ::testing::Contains;
using ::testing::StartsWith;

class SystemdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = NamespaceSystemd::Missing(); !missing.empty()) {
      GTEST_SKIP() << "needs " << missing;
    }
    systemd_ = std::make_unique<NamespaceSystemd>(
        NamespaceSystemd::Options{.units = SampleUnits(), .setup = {}});
    root_ = systemd_->Root();
    if (root_.empty())
      GTEST_SKIP() << "systemd cannot run in a namespace here: " << systemd_->Log();
    runner_ = std::make_unique<CheckRunner>(agent::HostFs(root_));
    runner_->UseRealClock();
    runner_->options().systemd.required = {"good.service", "idle.service", "nothing.service"};
    check_ = agent::MakeSystemdCheck(runner_->env());
  }
  CheckResult Run() { return runner_->Run(*check_); }

  std::unique_ptr<NamespaceSystemd> systemd_;
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
