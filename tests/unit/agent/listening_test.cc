#include "agent/listening.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_format.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::TempHost;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Socket(absl::string_view local, absl::string_view state) {
  return absl::StrFormat("%4d: %s 00000000:0000 %s 00000000:00000000 00:00000000 0 0 0 1 1\n", 7,
                         local, state);
}

TEST(ListeningPortsTest, JoinsAllFamiliesEachOnce) {
  TempHost host;
  host.Write("proc/net/tcp",
             absl::StrCat(Socket("00000000:18EB", "0A"), Socket("0100007F:1538", "0A"),
                          Socket("0100007F:1538", "0A")));
  host.Write("proc/net/tcp6", Socket("00000000000000000000000000000000:18EB", "0A"));
  host.Write("proc/net/unix",
             "0: 00000002 00000000 00010000 0001 01 42907 /run/b\n"
             "0: 00000002 00000000 00010000 0001 01 42908 /run/a\n");
  const auto listening = ListeningPorts(host.fs());
  ASSERT_THAT(listening, IsOk());
  EXPECT_THAT(listening->tcp, ElementsAre(TcpListener{"127.0.0.1", 5432},
                                          TcpListener{"0.0.0.0", 6379}, TcpListener{"::", 6379}));
  EXPECT_THAT(listening->unix_paths, ElementsAre("/run/a", "/run/b"));
}

TEST(ListeningPortsTest, StopsReadingBehindTheListeners) {
  std::string text = Socket("0100007F:1538", "0A");
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&text, Socket("0100007F:1538", "01"));
  absl::StrAppend(&text, "not reached\n");
  TempHost host;
  host.Write("proc/net/tcp", text);
  const auto listening = ListeningPorts(host.fs());
  ASSERT_THAT(listening, IsOk());
  EXPECT_THAT(listening->tcp, ElementsAre(TcpListener{"127.0.0.1", 5432}));
}

TEST(ListeningPortsTest, WithoutTheFilesNobodyListens) {
  const TempHost host;
  const auto listening = ListeningPorts(host.fs());
  ASSERT_THAT(listening, IsOk());
  EXPECT_THAT(listening->tcp, IsEmpty());
  EXPECT_THAT(listening->unix_paths, IsEmpty());
}

TEST(ListeningPortsTest, SaysWhenTheTextIsNotTheKernels) {
  TempHost host;
  host.Write("proc/net/tcp", "garbage\n");
  EXPECT_THAT(ListeningPorts(host.fs()), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ListeningTcpTest, TheKernelSaysTheSameByBothWays) {
  const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) GTEST_SKIP() << "no IPv6";
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  socklen_t size = sizeof(address);
  const bool listens = ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::listen(fd, 1) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!listens) GTEST_SKIP() << "no IPv6 loopback";
  const TcpListener ours{"::1", ntohs(address.sin6_port)};
  const auto told = ListeningTcp(HostFs("/"));
  const auto read = ListeningTcp(HostFs("/./"));  // not the running machine's root: files
  ::close(fd);
  ASSERT_THAT(told, IsOk());
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(*told, Contains(ours));
  EXPECT_THAT(*read, Contains(ours));
}

TEST(DialAddressTest, ReachesEveryAddressOverLoopback) {
  EXPECT_EQ(DialHostPort({"0.0.0.0", 6379}), "127.0.0.1:6379");
  EXPECT_EQ(DialHostPort({"::", 6379}), "[::1]:6379");
  EXPECT_EQ(DialHostPort({"10.235.0.4", 5432}), "10.235.0.4:5432");
}

}  // namespace
}  // namespace fleet::agent
