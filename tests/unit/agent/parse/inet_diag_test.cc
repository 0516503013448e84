#include "agent/parse/inet_diag.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <typename T>
std::string Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string Message(uint16_t type, const std::string& payload) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + payload.size());
  header.nlmsg_type = type;
  return Bytes(header) + payload;
}

std::string Attribute(uint16_t type, const std::string& payload) {
  nlattr attribute{};
  attribute.nla_len = static_cast<uint16_t>(sizeof(attribute) + payload.size());
  attribute.nla_type = type;
  std::string bytes = Bytes(attribute) + payload;
  bytes.resize((bytes.size() + 3) / 4 * 4);
  return bytes;
}

/// 10.98.0.1:40000 to 10.98.0.2:655.
std::string Connection(const std::string& attributes) {
  inet_diag_msg message{};
  message.idiag_family = AF_INET;
  message.id.idiag_sport = htons(40000);
  message.id.idiag_dport = htons(655);
  message.id.idiag_src[0] = inet_addr("10.98.0.1");
  message.id.idiag_dst[0] = inet_addr("10.98.0.2");
  return Message(SOCK_DIAG_BY_FAMILY, Bytes(message) + attributes);
}

std::string Info(uint64_t sent, uint64_t received) {
  tcp_info info{};
  info.tcpi_bytes_sent = sent;
  info.tcpi_bytes_received = received;
  return Attribute(INET_DIAG_INFO, Bytes(info));
}

TEST(ParseInetDiagTest, ReadsConnectionsAndTheEnd) {
  const auto diag = ParseInetDiag(Connection(Attribute(99, "xyz") + Info(21000, 700)) +
                                  Connection("") + Message(NLMSG_DONE, Bytes(int{0})));
  ASSERT_THAT(diag, IsOk());
  EXPECT_TRUE(diag->done);
  TcpConnection expected;
  expected.local = {10, 98, 0, 1};
  expected.remote = {10, 98, 0, 2};
  expected.local_port = 40000;
  expected.remote_port = 655;
  TcpConnection silent = expected;
  expected.sent_bytes = 21000;
  expected.received_bytes = 700;
  EXPECT_THAT(diag->connections, ElementsAre(expected, silent));
}

TEST(ParseInetDiagTest, TakesTheShorterInfoOfAnOldKernel) {
  const auto diag = ParseInetDiag(Connection(Attribute(INET_DIAG_INFO, std::string(104, '\1'))));
  ASSERT_THAT(diag, IsOk());
  EXPECT_EQ(diag->connections[0].sent_bytes, 0U);
  EXPECT_FALSE(diag->done);
}

TEST(ParseInetDiagTest, RefusesWhatIsCut) {
  const std::string whole = Connection(Info(1, 2));
  for (size_t size = 1; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    EXPECT_THAT(ParseInetDiag(whole.substr(0, size)), HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ParseInetDiag(Connection("\xff\xff\x02")), IsOk());  // less than an attribute
  EXPECT_THAT(ParseInetDiag(Connection("\xff\xff\x02\x01")),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseInetDiag("")->connections, IsEmpty());
}

TEST(ParseInetDiagTest, GivesTheKernelsError) {
  nlmsgerr error{};
  error.error = -EPERM;
  EXPECT_THAT(ParseInetDiag(Message(NLMSG_ERROR, Bytes(error))),
              HasCode(absl::StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace fleet::agent
