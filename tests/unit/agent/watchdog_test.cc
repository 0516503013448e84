#include "agent/watchdog.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/scoped_fd.h"
#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

/// Two connected sockets.
struct Pair {
  Pair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ours = ScopedFd(fds[0]);
    theirs = ScopedFd(fds[1]);
  }
  ScopedFd ours, theirs;
};

SteadyTime In(absl::Duration span) { return SteadyAfter(Clock::Real().SteadyNow(), span); }

TEST(WatchdogTest, EndsAReadThatNobodyAnswers) {
  Watchdog dog;
  const Pair pair;
  auto guard = dog.Arm(pair.ours.get(), In(absl::Milliseconds(5)));
  char byte;
  EXPECT_EQ(::read(pair.ours.get(), &byte, 1), 0);
  EXPECT_TRUE(guard.Disarm());
  EXPECT_FALSE(guard.Disarm());
}

TEST(WatchdogTest, LeavesADisarmedSocketAlone) {
  Watchdog dog;
  const Pair kept;
  const Pair other;
  { const auto guard = dog.Arm(kept.ours.get(), In(absl::Milliseconds(1))); }
  // By the time the later deadline has passed, the earlier one has too.
  auto guard = dog.Arm(other.ours.get(), In(absl::Milliseconds(5)));
  char byte;
  EXPECT_EQ(::read(other.ours.get(), &byte, 1), 0);
  ASSERT_EQ(::write(kept.theirs.get(), "x", 1), 1);
  EXPECT_EQ(::read(kept.ours.get(), &byte, 1), 1);
}

TEST(WatchdogTest, KeepsManyDeadlinesApart) {
  Watchdog dog;
  const Pair late;
  const Pair early;
  auto late_guard = dog.Arm(late.ours.get(), In(absl::Hours(1)));
  auto early_guard = dog.Arm(early.ours.get(), In(absl::ZeroDuration()));
  char byte;
  EXPECT_EQ(::read(early.ours.get(), &byte, 1), 0);
  EXPECT_TRUE(early_guard.Disarm());
  EXPECT_FALSE(late_guard.Disarm());
}

}  // namespace
}  // namespace fleet::agent
