#include "agent/echo.h"

#include <sys/socket.h>

#include <algorithm>

#include "agent/tinc_probe.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::WaitFor;

const IpAddress kLoopback = IpAddress::Parse("127.0.0.1").value();

EchoOptions Options() {
  EchoOptions options;
  options.listen = {kLoopback};
  options.port = 0;
  options.peers = {{kLoopback, 32}};
  return options;
}

/// A UDP or TCP socket of the test, bound to 127.0.0.1.
ScopedFd Bound(int type, uint16_t port = 0) {
  ScopedFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  sockaddr_storage address;
  const socklen_t size = kLoopback.ToSocket(port, address);
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  const timeval wait{0, 300'000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  return fd;
}

/// What came back for `payload`; nothing within 300 ms is empty.
std::string Ask(const ScopedFd& fd, uint16_t port, const std::string& payload) {
  sockaddr_storage address;
  const socklen_t size = kLoopback.ToSocket(port, address);
  ::sendto(fd.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&address),
           size);
  std::string answer(65536, '\0');
  const ssize_t got = ::recv(fd.get(), answer.data(), answer.size(), 0);
  answer.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return answer;
}

TEST(EchoServerTest, AnswersAPeerWithTheSameBytes) {
  const auto server = EchoServer::Start(Options());
  ASSERT_THAT(server, IsOk());
  const ScopedFd fd = Bound(SOCK_DGRAM);
  EXPECT_EQ(Ask(fd, (*server)->port(), std::string(64, 'x')), std::string(64, 'x'));
  EXPECT_EQ(Ask(fd, (*server)->port(), std::string(1400, 'y')), std::string(1400, 'y'));
  EXPECT_EQ(Ask(fd, (*server)->port(), std::string(EchoServer::kDatagramBytesMax + 1, 'z')), "");
  EXPECT_EQ((*server)->counters().answered, 2U);
  EXPECT_EQ((*server)->counters().refused, 1U);
}

TEST(EchoServerTest, RefusesStrangersAndOtherEchoes) {
  EchoOptions options = Options();
  options.peers = {{IpAddress::Parse("127.0.0.2").value(), 32}};
  const auto strangers = EchoServer::Start(options);
  ASSERT_THAT(strangers, IsOk());
  EXPECT_EQ(Ask(Bound(SOCK_DGRAM), (*strangers)->port(), "hello"), "");
  EXPECT_EQ((*strangers)->counters().refused, 1U);
  if (!test::IsRoot()) GTEST_SKIP() << "needs root for a well-known source port";
  const auto server = EchoServer::Start(Options());
  ASSERT_THAT(server, IsOk());
  EXPECT_EQ(Ask(Bound(SOCK_DGRAM, 7), (*server)->port(), "hello"), "");
}

TEST(EchoServerTest, LimitsTheRateOfASource) {
  const auto server = EchoServer::Start(Options());
  ASSERT_THAT(server, IsOk());
  const ScopedFd fd = Bound(SOCK_DGRAM);
  sockaddr_storage address;
  const socklen_t size = kLoopback.ToSocket((*server)->port(), address);
  for (int i = 0; i < 200; ++i) {
    ::sendto(fd.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&address), size);
  }
  EXPECT_TRUE(WaitFor([&] {
    const EchoServer::Counters counters = (*server)->counters();
    return counters.answered + counters.limited == 200;
  }));
  EXPECT_LE((*server)->counters().answered, 60U);
  EXPECT_GE((*server)->counters().answered, 40U);
}

TEST(EchoServerTest, ListensBeforeTheInterfaceIsThere) {
  EchoOptions options = Options();
  options.listen = {IpAddress::Parse("192.0.2.77").value()};
  EXPECT_THAT(EchoServer::Start(options), IsOk());
  EXPECT_THAT(EchoServer::Start(EchoOptions()), HasCode(absl::StatusCode::kInvalidArgument));
}

TincProbeResult Probe(uint16_t port) {
  return MakeTincProber()->Probe({{kLoopback, "", port}}, absl::Seconds(5))[0];
}

TEST(TincProberTest, MeasuresAnEcho) {
  const auto server = EchoServer::Start(Options());
  ASSERT_THAT(server, IsOk());
  const TincProbeResult result = Probe((*server)->port());
  EXPECT_TRUE(result.echo);
  ASSERT_TRUE(result.small.has_value());
  EXPECT_LT(*result.small, absl::Seconds(1));
  EXPECT_TRUE(result.big.has_value());
  EXPECT_EQ(result.big_packet_bytes, 9000);  // what a probe is at most; loopback takes 65536
  EXPECT_FALSE(result.tcp.has_value());
}

TEST(TincProberTest, TakesAPortUnreachableOfThePeerAsProof) {
  const TincProbeResult result = Probe(test::FreePort());
  EXPECT_TRUE(result.small.has_value());
  EXPECT_FALSE(result.echo);
  EXPECT_TRUE(result.reachable());
}

TEST(TincProberTest, FallsBackToTcpWhereUdpIsSilent) {
  const uint16_t port = test::FreePort();
  const ScopedFd silent = Bound(SOCK_DGRAM, port);
  const TincProbeResult reset = Probe(port);
  EXPECT_FALSE(reset.small.has_value());
  EXPECT_TRUE(reset.tcp.has_value());
  const ScopedFd listening = Bound(SOCK_STREAM, port);
  ASSERT_EQ(::listen(listening.get(), 1), 0);
  EXPECT_TRUE(Probe(port).tcp.has_value());
}

TEST(TincProberTest, AsksEveryPeerAtOnce) {
  const uint16_t port = test::FreePort();
  const ScopedFd silent = Bound(SOCK_DGRAM, port);
  const std::vector<TincProbeTarget> targets(100, {kLoopback, "", port});
  const SteadyTime start = Clock::Real().SteadyNow();
  const std::vector<TincProbeResult> results = MakeTincProber()->Probe(targets, absl::Seconds(5));
  EXPECT_LT(Clock::Real().SteadyNow() - start, absl::Seconds(3));
  for (const TincProbeResult& result : results) EXPECT_TRUE(result.reachable());
}

}  // namespace
}  // namespace fleet::agent
