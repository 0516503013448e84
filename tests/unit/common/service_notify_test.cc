#include "common/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>

#include "common/scoped_fd.h"
#include "common/status_macros.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet {
namespace {

using ::fleet::test::FakeClock;
using ::fleet::test::TempDir;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// What systemd would hear, on a socket of the test's own.
class ServiceNotifyTest : public ::testing::Test {
 protected:
  ServiceNotifyTest() {
    const std::string path = dir_ / "notify";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    FLEET_ASSERT(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    ::setenv("WATCHDOG_USEC", "30000000", 1);
    ::setenv("WATCHDOG_PID", absl::StrCat(::getpid()).c_str(), 1);
  }
  ~ServiceNotifyTest() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  /// What has arrived since the last look. A datagram is there as soon as it is sent.
  std::vector<std::string> Heard() {
    std::vector<std::string> heard;
    char buffer[256];
    while (true) {
      const ssize_t size = ::recv(socket_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
      if (size < 0) return heard;
      heard.emplace_back(buffer, static_cast<size_t>(size));
    }
  }

  TempDir dir_;
  ScopedFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  FakeClock clock_;
};

TEST_F(ServiceNotifyTest, SaysReadyAndStopping) {
  const ServiceNotify notify(clock_);
  EXPECT_THAT(Heard(), IsEmpty());
  notify.Ready();
  notify.Stopping();
  EXPECT_THAT(Heard(), ElementsAre("READY=1", "STOPPING=1"));
}

TEST_F(ServiceNotifyTest, PingsAsOftenAsSystemdWantsAndNoMore) {
  ServiceNotify notify(clock_);
  EXPECT_EQ(notify.beat_interval(), absl::Seconds(15));
  for (int i = 0; i < 100; ++i) notify.Beat();
  EXPECT_THAT(Heard(), ElementsAre("WATCHDOG=1"));
  clock_.Advance(absl::Milliseconds(7499));
  notify.Beat();
  EXPECT_THAT(Heard(), IsEmpty());
  clock_.Advance(absl::Milliseconds(1));
  notify.Beat();
  EXPECT_THAT(Heard(), ElementsAre("WATCHDOG=1"));
}

TEST_F(ServiceNotifyTest, ALoopThatBeatsInTimeIsNeverLate) {
  ServiceNotify notify(clock_);
  absl::Duration silent;
  for (int i = 0; i < 1000; ++i) {
    clock_.Advance(absl::Milliseconds(1 + i * 7919 % 15000));
    silent += absl::Milliseconds(1 + i * 7919 % 15000);
    notify.Beat();
    if (!Heard().empty()) silent = absl::ZeroDuration();
    EXPECT_LT(silent, absl::Seconds(30));
  }
}

TEST_F(ServiceNotifyTest, WithoutAWatchdogThereIsNoPing) {
  ::unsetenv("WATCHDOG_USEC");
  ServiceNotify notify(clock_);
  EXPECT_EQ(notify.beat_interval(), absl::InfiniteDuration());
  notify.Beat();
  EXPECT_THAT(Heard(), IsEmpty());
  notify.Ready();
  EXPECT_THAT(Heard(), ElementsAre("READY=1"));
}

TEST_F(ServiceNotifyTest, AWatchdogOfAnotherProcessIsNotOurs) {
  ::setenv("WATCHDOG_PID", absl::StrCat(::getppid()).c_str(), 1);
  ServiceNotify notify(clock_);
  notify.Beat();
  EXPECT_THAT(Heard(), IsEmpty());
}

TEST_F(ServiceNotifyTest, WithoutSystemdNothingHappens) {
  ::unsetenv("NOTIFY_SOCKET");
  ServiceNotify notify(clock_);
  notify.Ready();
  notify.Beat();
  EXPECT_THAT(Heard(), IsEmpty());
}

}  // namespace
}  // namespace fleet
