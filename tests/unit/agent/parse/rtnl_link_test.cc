#include "agent/parse/rtnl_link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOkAnd;

template <typename T>
std::string Bytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string Padded(std::string bytes) {
  bytes.resize((bytes.size() + 3) / 4 * 4, '\0');
  return bytes;
}

std::string Attribute(int type, const std::string& value) {
  const rtattr header = {.rta_len = static_cast<unsigned short>(sizeof(rtattr) + value.size()),
                         .rta_type = static_cast<unsigned short>(type)};
  return Padded(Bytes(header) + value);
}

std::string Message(int type, const std::string& body, int flags = NLM_F_MULTI) {
  const nlmsghdr header = {.nlmsg_len = static_cast<uint32_t>(sizeof(nlmsghdr) + body.size()),
                           .nlmsg_type = static_cast<uint16_t>(type),
                           .nlmsg_flags = static_cast<uint16_t>(flags),
                           .nlmsg_seq = 0,
                           .nlmsg_pid = 0};
  return Padded(Bytes(header) + body);
}

std::string LinkHeader(int index) {
  ifinfomsg header = {};
  header.ifi_type = 1;
  header.ifi_index = index;
  header.ifi_flags = IFF_UP | IFF_RUNNING;
  return Bytes(header);
}

const std::string& DoneMessage() {
  static const std::string done = Message(NLMSG_DONE, Bytes(0));
  return done;
}

TEST(ParseRtnlLinksTest, ReadsStateAndCounters) {
  rtnl_link_stats64 stats = {};
  stats.rx_bytes = 1000;
  stats.rx_dropped = 1;
  stats.rx_missed_errors = 2;
  stats.rx_length_errors = 1;
  stats.rx_over_errors = 2;
  stats.rx_crc_errors = 4;
  stats.rx_frame_errors = 8;
  stats.tx_carrier_errors = 1;
  stats.tx_aborted_errors = 2;
  stats.tx_window_errors = 4;
  stats.tx_heartbeat_errors = 8;
  stats.rx_nohandler = 7;
  const std::string body =
      LinkHeader(4) + Attribute(IFLA_IFNAME, std::string("eth0\0", 5)) +
      Attribute(IFLA_ADDRESS, "\x02\xfc" + std::string(3, '\0') + "\x01") +
      Attribute(IFLA_MTU, Bytes(uint32_t{1400})) + Attribute(IFLA_OPERSTATE, "\x06") +
      Attribute(IFLA_CARRIER, "\x01") + Attribute(IFLA_CARRIER_CHANGES, Bytes(uint32_t{2})) +
      Attribute(IFLA_STATS64, Bytes(stats)) + Attribute(999, "from a newer kernel");
  std::vector<RtnlLink> links;
  EXPECT_THAT(ParseRtnlLinks(Message(RTM_NEWLINK, body) + DoneMessage(), links), IsOkAnd(true));
  ASSERT_EQ(links.size(), 1);
  RtnlLinkState expected;
  expected.index = 4;
  expected.link = 4;
  expected.name = "eth0";
  expected.flags = IFF_UP | IFF_RUNNING;
  expected.type = 1;
  expected.mtu_bytes = 1400;
  expected.operstate = 6;
  expected.carrier = true;
  expected.carrier_changes = 2;
  expected.address = "02:fc:00:00:00:01";
  EXPECT_EQ(links[0].state, expected);
  LinkCounters counters;
  counters.receive_bytes = 1000;
  counters.receive_drop = 3;
  counters.receive_frame = 15;
  counters.transmit_carrier = 15;
  counters.receive_nohandler = 7;
  EXPECT_EQ(links[0].counters, counters);
}

TEST(ParseRtnlLinksTest, TakesTheShorterStructureOfAnOlderKernel) {
  rtnl_link_stats64 stats = {};
  stats.rx_bytes = 5;
  const std::string body = LinkHeader(1) + Attribute(IFLA_IFNAME, "lo") +
                           Attribute(IFLA_STATS64, Bytes(stats).substr(0, 64));
  std::vector<RtnlLink> links;
  EXPECT_THAT(ParseRtnlLinks(Message(RTM_NEWLINK, body), links), IsOkAnd(false));
  ASSERT_EQ(links.size(), 1);
  EXPECT_EQ(links[0].counters.receive_bytes, 5);
  EXPECT_EQ(links[0].counters.receive_nohandler, 0);
}

TEST(ParseRtnlLinksTest, SaysWhatTheKernelSaid) {
  std::vector<RtnlLink> links;
  EXPECT_THAT(
      ParseRtnlLinks(Message(NLMSG_ERROR, Bytes(nlmsgerr{.error = -EPERM, .msg = {}})), links),
      HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(ParseRtnlLinks(Message(NLMSG_DONE, Bytes(0), NLM_F_MULTI | NLM_F_DUMP_INTR), links),
              HasCode(absl::StatusCode::kAborted));
}

TEST(ParseRtnlLinksTest, RejectsMalformedMessages) {
  const std::string good = LinkHeader(1) + Attribute(IFLA_IFNAME, "lo");
  std::string long_attribute = good;
  long_attribute[sizeof(ifinfomsg)] = 127;
  std::string empty_attribute = good;
  empty_attribute[sizeof(ifinfomsg)] = 0;
  std::string long_message = Message(RTM_NEWLINK, good);
  long_message[0] = 127;
  for (const std::string& datagram :
       {std::string("x"), std::string(16, '\0'), long_message, Message(RTM_NEWLINK, ""),
        Message(RTM_NEWLINK, LinkHeader(1)),
        Message(RTM_NEWLINK, LinkHeader(0) + Attribute(IFLA_IFNAME, "lo")),
        Message(RTM_NEWLINK, long_attribute), Message(RTM_NEWLINK, empty_attribute)}) {
    SCOPED_TRACE(testing::PrintToString(datagram));
    std::vector<RtnlLink> links;
    EXPECT_THAT(ParseRtnlLinks(datagram, links), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
