#include "agent/tinc_control.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "agent/checks/checks.h"
#include "common/mutex.h"
#include "tests/support/check_runner.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempDir;
using ::testing::ElementsAre;

/// Stands in for tincd 1.1: answers as the recording does, and keeps what it was asked.
class FakeTincControl {
 public:
  FakeTincControl(std::string path, TincPid pid) : path_(std::move(path)), pid_(std::move(pid)) {
    std::string request;
    for (const absl::string_view line :
         absl::StrSplit(test::Fixture("tinc/control-1.1pre18.txt"), '\n')) {
      if (absl::StartsWith(line, "#")) request.clear();
      if (absl::StartsWith(line, "> ")) request = std::string(line.substr(2));
      if (absl::StartsWith(line, "< ")) {
        absl::StrAppend(&answers_[request], line.substr(2), "\n");
      }
    }
    listener_ = ScopedFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    thread_ = std::jthread([this] { Serve(); });
  }
  ~FakeTincControl() {
    stopping_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    CloseClient();
    thread_.join();
  }

  /// As tincd does when it ends.
  void CloseClient() {
    MutexLock lock(mutex_);
    if (client_.valid()) ::shutdown(client_.get(), SHUT_RDWR);
  }
  void set_silent(bool silent) { silent_ = silent; }
  void set_answer(const std::string& request, std::string answer) {
    MutexLock lock(mutex_);
    answers_[request] = std::move(answer);
  }
  std::vector<std::string> asked() {
    MutexLock lock(mutex_);
    return asked_;
  }

 private:
  void Serve() {
    while (!stopping_) {
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      {
        MutexLock lock(mutex_);
        client_ = ScopedFd(fd);
      }
      std::string input;
      char buffer[4096];
      ssize_t got = 0;
      while ((got = ::recv(fd, buffer, sizeof(buffer), 0)) > 0) {
        input.append(buffer, static_cast<size_t>(got));
        while (absl::StrContains(input, '\n')) {
          const std::string line = input.substr(0, input.find('\n'));
          input.erase(0, line.size() + 1);
          if (!Answer(fd, line)) ::shutdown(fd, SHUT_RDWR);
        }
      }
      MutexLock lock(mutex_);
      client_.Reset();
    }
  }

  bool Answer(int fd, const std::string& line) {
    MutexLock lock(mutex_);
    asked_.push_back(line);
    if (silent_) return true;
    std::string answer;
    if (absl::StartsWith(line, "0 ")) {
      if (line != absl::StrCat("0 ^", pid_.cookie, " 0")) return false;
      answer = absl::StrCat("0 nodea 17.7\n4 0 ", pid_.pid, "\n");
    } else {
      answer = answers_.contains(line) ? answers_[line] : "18 -1\n";
    }
    // In two pieces, as a stream may come.
    const size_t half = answer.size() / 2;
    return ::send(fd, answer.data(), half, MSG_NOSIGNAL) >= 0 &&
           ::send(fd, answer.data() + half, answer.size() - half, MSG_NOSIGNAL) >= 0;
  }

  const std::string path_;
  const TincPid pid_;
  Mutex mutex_;
  std::map<std::string, std::string> answers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> asked_ ABSL_GUARDED_BY(mutex_);
  ScopedFd client_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> silent_ = false;
  ScopedFd listener_;
  std::jthread thread_;
};

class FakeTincControlTest : public ::testing::Test {
 protected:
  const TempDir dir_;
  const std::string path_ = dir_ / "tinc.chitter.socket";
  const TincPid pid_ = {26463, std::string(64, 'F')};
  TincControl control_;
};

TEST_F(FakeTincControlTest, DumpsOverOneConnectionAndAsksNothingElse) {
  FakeTincControl tincd(path_, pid_);
  for (int i = 0; i < 3; ++i) {
    const auto dump = control_.Dump(path_, pid_, absl::Seconds(5));
    ASSERT_THAT(dump, IsOk());
    EXPECT_EQ(dump->nodes.size(), 3U);
    EXPECT_EQ(dump->subnets.size(), 3U);
    EXPECT_TRUE(dump->nodes_complete && dump->subnets_complete);
  }
  EXPECT_EQ(control_.node_name(), "nodea");
  EXPECT_THAT(tincd.asked(), ElementsAre(absl::StrCat("0 ^", pid_.cookie, " 0"), "18 3", "18 5",
                                         "18 3", "18 5", "18 3", "18 5"));
}

TEST_F(FakeTincControlTest, ComesBackAfterTincdClosedTheConnection) {
  FakeTincControl tincd(path_, pid_);
  ASSERT_THAT(control_.Dump(path_, pid_, absl::Seconds(5)), IsOk());
  tincd.CloseClient();
  EXPECT_THAT(control_.Dump(path_, pid_, absl::Seconds(5)), IsOk());
}

TEST_F(FakeTincControlTest, SaysThatTheCookieIsWrong) {
  FakeTincControl tincd(path_, pid_);
  EXPECT_THAT(control_.Dump(path_, {26463, std::string(64, 'E')}, absl::Seconds(5)),
              HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(FakeTincControlTest, DoesNotWaitForADaemonThatDoesNotAnswer) {
  FakeTincControl tincd(path_, pid_);
  tincd.set_silent(true);
  EXPECT_THAT(control_.Dump(path_, pid_, absl::Milliseconds(100)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  tincd.set_silent(false);
  EXPECT_THAT(control_.Dump(path_, pid_, absl::Seconds(5)), IsOk());
}

TEST_F(FakeTincControlTest, RefusesGarbageAndARefusal) {
  FakeTincControl tincd(path_, pid_);
  tincd.set_answer("18 3", "18 3 no-de x\n18 3\n");
  EXPECT_FALSE(control_.Dump(path_, pid_, absl::Seconds(5)).ok());
  tincd.set_answer("18 3", "18 -1\n");
  EXPECT_THAT(control_.Dump(path_, pid_, absl::Seconds(5)),
              HasCode(absl::StatusCode::kUnimplemented));
}

TEST_F(FakeTincControlTest, SaysThatNobodyIsThere) {
  EXPECT_THAT(control_.Dump(path_, pid_, absl::Seconds(5)),
              HasCode(absl::StatusCode::kUnavailable));
}

/// nodea, whose tincd 1.1 is the fake: the check on a fixture host sends no packets, but asks it.
TEST(FakeTincControlCheckTest, TellsPathsAndStrangersFromTheDump) {
  test::TempHost host;
  const TincPid pid{26463, std::string(64, 'F')};
  host.Write("etc/tinc/chitter/tinc.conf", "Name = nodea\nConnectTo = nodeb\n")
      .Write("etc/tinc/chitter/hosts/nodea", "Subnet = 10.97.0.1\n")
      .Write("etc/tinc/nets.boot", "chitter\n")
      .Write("run/tinc.chitter.pid", absl::StrCat("26463 ", pid.cookie, " 127.0.0.1 port 655\n"))
      .Write("proc/26463/comm", "tincd\n")
      .Write("sys/class/net/chitter/flags", "0x10d1\n");
  FakeTincControl tincd(host.fs().Path("run/tinc.chitter.socket"), pid);
  test::CheckRunner runner(host.fs());
  runner.UseRealClock();
  const test::CheckResult result = runner.Run(MakeTincCheck);
  ASSERT_THAT(result.status, IsOk());
  EXPECT_THAT(result.items(),
              ElementsAre("tincd ok tinc 1.1",
                          "nodeb ok direct, not probed: this is not the running machine",
                          "nodec warn on the VPN, but neither a peer nor allowed",
                          "presence ok 2 nodes on the VPN"));
  EXPECT_EQ(result.value("fleet_tinc_peer_direct{net=\"chitter\",peer=\"nodeb\"}"), 1);
  EXPECT_EQ(result.value("fleet_tinc_peer_receive_bytes_total{net=\"chitter\",peer=\"nodeb\"}"),
            454);
}

}  // namespace
}  // namespace fleet::agent
