#include "agent/parse/tinc_control.h"

#include "absl/strings/str_split.h"
#include "tests/support/matchers.h"
#include "tests/support/temp_host.h"

namespace fleet::agent {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;

/// The lines that tincd sent, from the recording.
std::string Received() {
  std::string text;
  for (const absl::string_view line :
       absl::StrSplit(test::Fixture("tinc/control-1.1pre18.txt"), '\n')) {
    if (absl::StartsWith(line, "> 18 9")) break;
    if (absl::StartsWith(line, "< ")) absl::StrAppend(&text, line.substr(2), "\n");
  }
  return text;
}

TincNode Node(absl::string_view line) {
  const auto dump = ParseTincDump(absl::StrCat(line, "\n18 3\n"));
  EXPECT_THAT(dump, IsOk());
  return dump.ok() && dump->nodes.size() == 1 ? dump->nodes[0] : TincNode{};
}

TEST(ParseTincDumpTest, ReadsTheRecording) {
  const auto dump = ParseTincDump(Received());
  ASSERT_THAT(dump, IsOk());
  EXPECT_TRUE(dump->nodes_complete && dump->subnets_complete);
  ASSERT_EQ(dump->nodes.size(), 3U);
  EXPECT_EQ(dump->nodes[0].path(), TincPath::kSelf);
  const TincNode& nodeb = dump->nodes[1];
  EXPECT_EQ(nodeb.name, "nodeb");
  EXPECT_EQ(nodeb.host, "10.98.0.2");
  EXPECT_EQ(nodeb.path(), TincPath::kDirect);
  EXPECT_EQ(nodeb.mtu, 1439);
  EXPECT_EQ(nodeb.udp_rtt, absl::Microseconds(207));
  EXPECT_EQ(nodeb.changed, absl::FromUnixSeconds(1795453426));
  ASSERT_TRUE(nodeb.traffic.has_value());
  EXPECT_EQ(*nodeb.traffic, (TincNode::Traffic{454, 542}));
  EXPECT_THAT(dump->subnets, ElementsAre(TincOwnedSubnet{"10.97.0.1", "nodea"},
                                         TincOwnedSubnet{"10.97.0.2", "nodeb"},
                                         TincOwnedSubnet{"10.97.0.3", "nodec"}));
}

TEST(ParseTincDumpTest, ClassifiesAsTincInfoDoes) {
  EXPECT_EQ(Node("18 3 nodec aed9f6daa21b 10.98.1.2 port 655 0 0 0 0 700000c 105a nodea nodec 2 "
                 "1518 0 1518 1795453426 -1 1 98 3 294")
                .path(),
            TincPath::kRelayed);
  EXPECT_EQ(Node("18 3 nodeb c5888a302717 10.98.0.2 port 655 0 0 0 0 700000c 185a nodeb nodeb 1 "
                 "1439 0 1518 1795453426 -1 8 516 21 1770")
                .path(),
            TincPath::kTcp);
  EXPECT_EQ(Node("18 3 nodeb c5888a302717 10.98.0.2 port 655 0 0 0 0 0 0 nodeb nodeb -1 1439 0 "
                 "1518 1795453504 -1 15 1166 27 2358")
                .path(),
            TincPath::kUnreachable);
  EXPECT_EQ(Node("18 3 laptop 000000000000 unknown port unknown 0 0 0 0 0 10 laptop laptop 1 0 0 "
                 "1518 0 -1 0 0 0 0")
                .path(),
            TincPath::kUnknown);
  EXPECT_EQ(Node("18 3 gone 000000000000 unknown port unknown 0 0 0 0 0 0 - - -1 0 0 1518 0 -1 0 "
                 "0 0 0")
                .path(),
            TincPath::kUnreachable);
}

TEST(ParseTincDumpTest, TakesTheShorterLineOfAnEarlyPrerelease) {
  const TincNode node =
      Node("18 3 nodeb 10.98.0.2 port 655 0 0 0 0 c 1a nodeb nodeb 1 1439 1439 1439 1795453426 5");
  EXPECT_EQ(node.path(), TincPath::kDirect);
  EXPECT_FALSE(node.traffic.has_value());
}

TEST(ParseTincDumpTest, SaysWhetherADumpIsWhole) {
  const auto dump = ParseTincDump("18 5 10.97.0.1 nodea\n18 6 x y\n0 nodea 17.7\n");
  ASSERT_THAT(dump, IsOk());
  EXPECT_FALSE(dump->nodes_complete);
  EXPECT_FALSE(dump->subnets_complete);
}

TEST(ParseTincDumpTest, RefusesWhatItCannotUse) {
  const std::string tail =
      "0 0 0 0 700000c 8da nodeb nodeb 1 1439 1439 1439 1795453426 207 7 4 7 5";
  const std::string bad[] = {
      absl::StrCat("18 3 no-deb c588 10.98.0.2 port 655 ", tail),
      absl::StrCat("18 3 nodeb c588 10.98.0.2 pork 655 ", tail),
      "18 3 nodeb c588 h port 655 0 0 0 0 700000c xyz nodeb nodeb 1 1439 1439 1439 1 207 7 4 7 5",
      "18 3 nodeb c588 h port 655 0 0 0 0 700000c 8da ../ nodeb 1 1439 1439 1439 1 207 7 4 7 5",
      "18 3 nodeb c588 h port 655 0 0 0 0 700000c 8da nodeb nodeb 1 x 1439 1439 1 207 7 4 7 5",
      "18 3 nodeb c588 h port 655 0 0 0 0 700000c 8da nodeb nodeb 1 9 -1 1439 1 207 7 4 7 5",
      "18 3 nodeb c588 h port 655 0 0 0 0 700000c 8da nodeb nodeb 1 9 1 1439 x 207 7 4 7 5",
      "18 3 nodeb c588 h port 655 0 0 0 0 700000c 8da nodeb nodeb 1 9 1 1439 1 207 7 -4 7 5",
  };
  for (const std::string& text : bad) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseTincDump(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(ParseTincDump("18 3 nodeb 10.98.0.2 port 655 0 0"),
              HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(ParseTincDump("18 -1\n"), HasCode(absl::StatusCode::kUnimplemented));
  std::string many;
  for (int i = 0; i < 70'000; ++i) many += "x\n";
  EXPECT_THAT(ParseTincDump(many), HasCode(absl::StatusCode::kResourceExhausted));
}

TEST(ParseTincGreetingTest, GivesTheNodesName) {
  EXPECT_THAT(ParseTincGreeting("0 nodea 17.7\n4 0 26463\n"), IsOkAnd(std::string("nodea")));
  for (const char* text : {"", "0 nodea 17.7\n", "1 nodea 17\n4 0 1\n", "0 no-de 17\n4 0 1\n",
                           "HTTP/1.1 400 Bad Request\n4 0 1\n"}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(ParseTincGreeting(text), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace fleet::agent
