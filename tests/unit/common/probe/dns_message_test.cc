#include "common/probe/dns_message.h"

#include "common/probe/icmp_message.h"
#include "common/probe/websocket.h"
#include "tests/support/matchers.h"

namespace fleet::probe {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::testing::ElementsAre;

std::string Bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text.push_back(static_cast<char>(byte));
  return text;
}

/// A header with these counts, and the question "a.test. IN A".
std::string Answer(int rcode, int answers) {
  return Bytes({0x12, 0x34, 0x81, 0x80 | rcode, 0,   1,   0,   answers, 0, 0, 0, 0,
                1,    'a',  4,    't',          'e', 's', 't', 0,       0, 1, 0, 1});
}

/// "a.test. 300 IN type", by pointer.
std::string Record(int type, const std::string& data) {
  return Bytes({0xc0, 12, type >> 8, type & 0xff, 0, 1, 0, 0, 1, 0x2c, 0,
                static_cast<int>(data.size())}) +
         data;
}

TEST(MakeDnsQueryTest, Packs) {
  const auto query = MakeDnsQuery("a.test", "A", 0x1234);
  ASSERT_THAT(query, IsOk());
  EXPECT_EQ(*query, Bytes({0x12, 0x34, 1, 0,   0,   1,   0,   0, 0, 0, 0, 0,
                           1,    'a',  4, 't', 'e', 's', 't', 0, 0, 1, 0, 1}));
  EXPECT_THAT(MakeDnsQuery("a..test", "A", 1), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(MakeDnsQuery(std::string(70, 'a') + ".test", "A", 1),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(MakeDnsQuery("a.test", "AXFR", 1), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(ParseDnsAnswerTest, ReadsEveryType) {
  const std::string name = Bytes({1, 'm', 0xc0, 12});
  const std::string v6 = Bytes({0x20, 1, 0xd, 0xb8}) + std::string(11, '\0') + '\1';
  const std::string soa = name + name + Bytes({0, 0, 0, 7}) + std::string(16, '\0');
  const std::string bytes = Answer(0, 10) + Record(1, Bytes({1, 2, 3, 4})) + Record(28, v6) +
                            Record(5, name) + Record(15, Bytes({0, 10}) + name) + Record(2, name) +
                            Record(12, name) + Record(16, "\5hello\2hi") + Record(6, soa) +
                            Record(33, Bytes({0, 1, 0, 2, 1, 0xbb}) + name) +
                            Record(257, Bytes({0, 5}) + "issueca.test");
  const auto answer = ParseDnsAnswer(bytes);
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->id, 0x1234);
  EXPECT_EQ(answer->rcode, "NOERROR");
  EXPECT_EQ(answer->answers, 10);
  EXPECT_EQ(answer->serial, 7U);
  EXPECT_THAT(
      answer->records,
      ElementsAre("a.test.\t300\tIN\tA\t1.2.3.4", "a.test.\t300\tIN\tAAAA\t2001:db8::1",
                  "a.test.\t300\tIN\tCNAME\tm.a.test.", "a.test.\t300\tIN\tMX\t10 m.a.test.",
                  "a.test.\t300\tIN\tNS\tm.a.test.", "a.test.\t300\tIN\tPTR\tm.a.test.",
                  "a.test.\t300\tIN\tTXT\t\"hello\" \"hi\"",
                  "a.test.\t300\tIN\tSOA\tm.a.test. m.a.test. 7 0 0 0 0",
                  "a.test.\t300\tIN\tSRV\t1 2 443 m.a.test.",
                  "a.test.\t300\tIN\tCAA\t0 issue \"ca.test\""));
  // Of a prefix nothing is made up.
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(ParseDnsAnswer(absl::string_view(bytes).substr(0, size)),
                HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(ParseDnsAnswerTest, RefusesNonsense) {
  EXPECT_EQ(ParseDnsAnswer(Answer(3, 0))->rcode, "NXDOMAIN");
  EXPECT_EQ(ParseDnsAnswer(Answer(15, 0))->rcode, "RCODE15");
  const std::vector<std::string> broken = {
      *MakeDnsQuery("a.test", "A", 1),
      Answer(0, 1) + Bytes({0xc0, 24}),                         // a pointer to itself
      Answer(0, 1) + Record(1, "xx"),                           // an address of two bytes
      Answer(0, 1) + Record(16, "\xff"),                        // a text longer than its record
      Answer(0, 1) + Record(257, Bytes({0, 9, 'a'})),           // a tag likewise
      Answer(0, 1) + Record(2, Bytes({3, 'a'})) + "bc" + '\0',  // a name beyond its record
  };
  for (const std::string& bytes : broken) {
    EXPECT_THAT(ParseDnsAnswer(bytes), HasCode(absl::StatusCode::kInvalidArgument));
  }
}

TEST(EchoTest, PacksAndParses) {
  EXPECT_EQ(MakeEchoRequest(false, 0x102, "ab"), Bytes({8, 0, 0, 0, 0, 0, 1, 2}) + "ab");
  EXPECT_EQ(MakeEchoRequest(true, 1, ""), Bytes({128, 0, 0, 0, 0, 0, 0, 1}));
  const std::string bytes = Bytes({0, 0, 9, 9, 9, 9, 1, 2, 'a', 'b'});  // the reply points into it
  const auto reply = ParseEchoReply(false, bytes);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->sequence, 0x102);
  EXPECT_EQ(reply->payload, "ab");
  EXPECT_FALSE(ParseEchoReply(false, Bytes({0, 0, 9, 9, 9, 9, 1})).has_value());
  EXPECT_FALSE(ParseEchoReply(false, MakeEchoRequest(false, 1, "ab")).has_value());
  EXPECT_FALSE(ParseEchoReply(true, Bytes({0, 0, 9, 9, 9, 9, 1, 2})).has_value());
}

TEST(WebSocketAcceptTest, IsAsInTheRfc) {
  EXPECT_EQ(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_NE(MakeWebSocketKey(), MakeWebSocketKey());
  EXPECT_EQ(MakeWebSocketKey().size(), 24U);
}

}  // namespace
}  // namespace fleet::probe
