#include "collector/acceptor.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <set>

#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::WaitFor;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AcceptorTest : public ::testing::Test {
 protected:
  void Start(const ConnectionOptions& options) {
    auto acceptor = Acceptor::Listen({"127.0.0.1", 0}, options, newcomers_, clock_);
    ASSERT_THAT(acceptor, IsOk());
    acceptor_ = *std::move(acceptor);
    acceptor_->Start([this](int fd) {
      MutexLock lock(mutex_);
      taken_.insert(fd);
    });
  }
  void TearDown() override {
    if (acceptor_ != nullptr) acceptor_->Stop();
    MutexLock lock(mutex_);
    for (const int fd : taken_) ::close(fd);
  }
  /// Connects from an address of loopback; the number of connections looked at so far, by then.
  ScopedFd Connect(const char* from = "127.0.0.1") {
    const uint64_t before = Looked();
    ScopedFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, from, &address.sin_addr);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    address.sin_port = htons(acceptor_->address().port);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_TRUE(WaitFor([&] { return Looked() == before + 1; }));
    return fd;
  }
  uint64_t Looked() const {
    return acceptor_->accepted() + acceptor_->shut(ShutReason::kTotal) +
           acceptor_->shut(ShutReason::kAddress) + acceptor_->shut(ShutReason::kHandshakes);
  }
  /// Closes one that was taken, as gRPC does without telling anybody.
  void CloseOne() {
    MutexLock lock(mutex_);
    ::close(*taken_.begin());
    taken_.erase(taken_.begin());
  }

  test::FakeClock clock_;
  Newcomers newcomers_;
  Mutex mutex_;
  std::set<int> taken_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Acceptor> acceptor_;
};

TEST_F(AcceptorTest, LimitsEachAddressAndAllTogether) {
  Start({.total = 3, .per_address = 2});
  std::vector<ScopedFd> open;
  open.push_back(Connect());
  open.push_back(Connect());
  open.push_back(Connect());
  EXPECT_EQ(acceptor_->accepted(), 2u);
  EXPECT_EQ(acceptor_->shut(ShutReason::kAddress), 1u);
  // The one too many was closed at once.
  char byte = 0;
  EXPECT_LE(::recv(open.back().get(), &byte, 1, 0), 0);
  open.push_back(Connect("127.0.0.2"));
  EXPECT_EQ(acceptor_->accepted(), 3u);
  open.push_back(Connect("127.0.0.3"));
  EXPECT_EQ(acceptor_->shut(ShutReason::kTotal), 1u);
  EXPECT_THAT(
      acceptor_->Notes(),
      ElementsAre(HasSubstr("more than 3 connections, last from 127.0.0.3"),
                  HasSubstr("more than 2 connections of one address, last from 127.0.0.1")));
  EXPECT_EQ(acceptor_->open(), 3u);
}

TEST_F(AcceptorTest, WhatIsClosedMakesRoom) {
  Start({.total = 2, .per_address = 2});
  std::vector<ScopedFd> open;
  open.push_back(Connect());
  open.push_back(Connect());
  CloseOne();
  clock_.Advance(Acceptor::kSweepEvery);
  open.push_back(Connect());
  EXPECT_EQ(acceptor_->accepted(), 3u);
  EXPECT_EQ(acceptor_->open(), 2u);
}

TEST_F(AcceptorTest, LimitsHowFastOneAddressComesBack) {
  Start({.total = 100, .per_address = 100, .handshakes_per_second = 1, .handshakes_burst = 2});
  std::vector<ScopedFd> open;
  for (int i = 0; i < 3; ++i) open.push_back(Connect());
  EXPECT_EQ(acceptor_->shut(ShutReason::kHandshakes), 1u);
  open.push_back(Connect("127.0.0.2"));
  EXPECT_EQ(acceptor_->accepted(), 3u);
  clock_.Advance(absl::Seconds(1));
  open.push_back(Connect());
  EXPECT_EQ(acceptor_->accepted(), 4u);
  EXPECT_THAT(acceptor_->Notes(), ElementsAre(HasSubstr("new connections a second")));
  clock_.Advance(Acceptor::kNoteTime + absl::Seconds(1));
  EXPECT_THAT(acceptor_->Notes(), ElementsAre());
}

TEST_F(AcceptorTest, TakesNoMoreAfterStop) {
  Start({});
  const uint16_t port = acceptor_->address().port;
  acceptor_->Stop();
  EXPECT_FALSE(test::AcceptsConnections(port));
}

TEST(OpenSocketsTest, ANumberThatIsUsedAgainIsAnotherSocket) {
  static uint64_t socket = 0;
  OpenSockets sockets([](int) { return socket; });
  socket = 1;
  sockets.Add(7, "a");
  socket = 2;
  sockets.Add(7, "b");
  EXPECT_EQ(sockets.CountOf("a"), 0u);
  EXPECT_EQ(sockets.CountOf("b"), 1u);
  socket = 3;
  sockets.Sweep();
  EXPECT_EQ(sockets.size(), 0u);
}

TEST(LimitKeyTest, OneMachineIsOneKey) {
  EXPECT_EQ(LimitKey("10.235.0.4"), "10.235.0.4");
  EXPECT_EQ(LimitKey("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  EXPECT_EQ(LimitKey("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
  EXPECT_EQ(LimitKey("::ffff:10.235.0.4"), "10.235.0.4");
}

}  // namespace
}  // namespace fleet::collector
