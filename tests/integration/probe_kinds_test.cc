#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <thread>

#include "absl/strings/match.h"
#include "common/probe/probe.h"
#include "common/probe/websocket.h"
#include "common/scoped_fd.h"
#include "tests/support/fake_site.h"
#include "tests/support/probe_result.h"
#include "tests/support/process.h"

namespace fleet::probe {
namespace {

using ::fleet::test::Ask;
using ::fleet::test::FakeConnection;
using ::fleet::test::FakeSite;
using ::fleet::test::FreePort;
using ::fleet::test::HttpAnswer;
using ::fleet::test::Process;
using ::fleet::test::Sample;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Answers each datagram on a port of 127.0.0.1 as a test says.
class FakeDns {
 public:
  explicit FakeDns(std::function<std::string(std::string)> answer, uint16_t port = 0)
      : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer = std::move(answer)] {
      char bytes[4096];
      sockaddr_in from = {};
      socklen_t from_size = sizeof(from);
      while (true) {
        const ssize_t got = ::recvfrom(fd_.get(), bytes, sizeof(bytes), 0,
                                       reinterpret_cast<sockaddr*>(&from), &from_size);
        if (got <= 0) return;
        const std::string reply = answer(std::string(bytes, static_cast<size_t>(got)));
        ::sendto(fd_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from),
                 from_size);
      }
    });
  }
  ~FakeDns() {
    ::shutdown(fd_.get(), SHUT_RDWR);
    thread_.join();
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  const ScopedFd fd_;
  uint16_t port_ = 0;
  std::thread thread_;
};

/// What makes a record long.
std::string Long() { return std::string(240, 'x'); }

class ProbeKindsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Engine> engine_ = Engine::Create();
  Spec spec_;
};

TEST_F(ProbeKindsTest, UpgradesToWebSocket) {
  const auto site = FakeSite::Http([](const std::string& request) {
    if (absl::StrContains(request, "/wrong")) {
      return std::string(
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
          "Connection: Upgrade\r\nSec-WebSocket-Accept: nonsense\r\n\r\n");
    }
    const std::string name = "Sec-WebSocket-Key: ";
    const size_t at = request.find(name);
    if (at == std::string::npos) return HttpAnswer(400, "");
    const std::string key = request.substr(at + name.size(), 24);
    return absl::StrCat(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: ",
        WebSocketAccept(key), "\r\n\r\nframes follow");
  });
  spec_.kind = Kind::kWebSocket;
  spec_.target = absl::StrCat("ws://", site->address(), "/api/v1/streaming");
  const Result result = Ask(*engine_, spec_);
  EXPECT_TRUE(result.success) << result.error;
  EXPECT_EQ(result.status, 101);
  EXPECT_EQ(Sample(result, "probe_websocket_connection_upgraded"), 1);
  spec_.target = absl::StrCat("ws://", site->address(), "/wrong");
  EXPECT_EQ(Ask(*engine_, spec_).error, "wrong Sec-WebSocket-Accept");
  const auto plain = FakeSite::Http([](const std::string&) { return HttpAnswer(404, ""); });
  spec_.target = absl::StrCat("ws://", plain->address(), "/");
  EXPECT_EQ(Ask(*engine_, spec_).error, "404");
}

TEST_F(ProbeKindsTest, AsksNameServers) {
  if (!test::HasProgram("dnsmasq")) GTEST_SKIP() << "needs dnsmasq";
  const uint16_t port = FreePort();
  const Process server(
      {"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
       "--user=root", "--pid-file=", absl::StrCat("--port=", port), "--listen-address=127.0.0.1",
       "--bind-interfaces", "--address=/a.test/192.0.2.7", "--mx-host=a.test,mail.a.test,10",
       "--txt-record=a.test,hello", absl::StrCat("--txt-record=b.test,first", Long()),
       absl::StrCat("--txt-record=b.test,second", Long()),
       absl::StrCat("--txt-record=b.test,third", Long())});
  ASSERT_TRUE(test::WaitFor([&] { return test::AcceptsConnections(port); }));
  spec_.kind = Kind::kDns;
  spec_.target = absl::StrCat("127.0.0.1:", port);
  spec_.dns.name = "a.test";
  spec_.dns.answer_matches = "IN\tA\t192\\.0\\.2\\.7$";
  const Result result = Ask(*engine_, spec_);
  EXPECT_TRUE(result.success) << result.error;
  EXPECT_EQ(Sample(result, "probe_dns_answer_rrs"), 1);
  EXPECT_EQ(Sample(result, "probe_dns_query_succeeded"), 1);
  spec_.dns.type = "MX";
  EXPECT_THAT(Ask(*engine_, spec_).error, HasSubstr("no_match: a.test."));
  spec_.dns.answer_matches = "10 mail.a.test";
  EXPECT_TRUE(Ask(*engine_, spec_).success);
  spec_.dns.type = "TXT";
  spec_.dns.answer_matches = "\"hello\"";
  EXPECT_TRUE(Ask(*engine_, spec_).success);
  // More than a datagram takes: asked again over TCP.
  spec_.dns.name = "b.test";
  for (const char* record : {"first", "second", "third"}) {
    spec_.dns.answer_matches = absl::StrCat("\"", record, "x+\"");
    const Result large = Ask(*engine_, spec_);
    EXPECT_TRUE(large.success) << large.error;
    EXPECT_EQ(Sample(large, "probe_dns_answer_rrs"), 3);
  }
  spec_.dns.type = "A";
  spec_.dns.answer_matches = "";
  spec_.dns.name = "no.such.name";
  const std::string rcode = Ask(*engine_, spec_).error;
  EXPECT_TRUE(rcode == "REFUSED" || rcode == "NXDOMAIN") << rcode;
  spec_.dns.valid_rcodes = {"NXDOMAIN", "REFUSED"};
  EXPECT_TRUE(Ask(*engine_, spec_).success);
}

TEST_F(ProbeKindsTest, SurvivesOddNameServers) {
  spec_.kind = Kind::kDns;
  spec_.dns.name = "a.test";
  spec_.timeout = absl::Milliseconds(400);
  spec_.target = absl::StrCat("127.0.0.1:", FreePort());
  EXPECT_EQ(Ask(*engine_, spec_).error, "Connection refused");
  const FakeDns garbage([](const std::string&) { return "garbage"; });
  spec_.target = garbage.address();
  EXPECT_EQ(Ask(*engine_, spec_).error, "no DNS answer: it is cut off");
  const FakeDns echo([](std::string query) { return query; });
  spec_.target = echo.address();
  EXPECT_EQ(Ask(*engine_, spec_).error, "no DNS answer: it is a question");
  const FakeDns other([](std::string query) {
    query[0] = static_cast<char>(query[0] ^ 1);
    query[2] = static_cast<char>(query[2] | 0x80);
    return query;
  });
  spec_.target = other.address();
  EXPECT_EQ(Ask(*engine_, spec_).error, "Answer timeout (0.4 seconds)");
  int asked = 0;
  const FakeDns lossy([&](std::string query) {
    if (++asked == 1) query[0] = static_cast<char>(query[0] ^ 1);
    query[2] = static_cast<char>(query[2] | 0x80);
    return query;
  });
  spec_.target = lossy.address();
  EXPECT_TRUE(Ask(*engine_, spec_).success);
}

TEST_F(ProbeKindsTest, SurvivesOddNameServersOverTcp) {
  spec_.kind = Kind::kDns;
  spec_.dns.name = "a.test";
  spec_.timeout = absl::Milliseconds(400);
  const auto cut_off = [](std::string query) {
    query[2] = static_cast<char>(query[2] | 0x82);
    return query;
  };
  const FakeDns alone(cut_off);
  spec_.target = alone.address();
  EXPECT_EQ(Ask(*engine_, spec_).error, "Connection refused");
  const std::pair<std::string, std::string> cases[] = {
      {"", "no DNS answer: the connection ended"},
      {std::string("\x01", 1), "no DNS answer: the connection ended"},
      {std::string("\xff\xff", 2) + "short", "no DNS answer: the connection ended"},
      {std::string("\0\7", 2) + "garbage", "no DNS answer: it is cut off"},
      {std::string("\0\0", 2), "no DNS answer: it is cut off"},
  };
  for (const auto& [reply, error] : cases) {
    const FakeSite site([&reply = reply](FakeConnection& connection) {
      connection.ReadUntil(absl::string_view("\0\1\0\1", 4));
      connection.Write(reply);
    });
    const FakeDns dns(cut_off, site.port());
    spec_.target = dns.address();
    EXPECT_EQ(Ask(*engine_, spec_).error, error);
  }
  const FakeSite silent([](FakeConnection& connection) { connection.WaitForClose(); });
  const FakeDns dns(cut_off, silent.port());
  spec_.target = dns.address();
  EXPECT_EQ(Ask(*engine_, spec_).error, "Answer timeout (0.4 seconds)");
}

/// Runs `body` in a thread that has a network of its own: loopback, up.
void InNetwork(const std::function<void()>& body) {
  bool entered = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    entered = true;
    const ScopedFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq loopback = {};
    loopback.ifr_name[0] = 'l';
    loopback.ifr_name[1] = 'o';
    loopback.ifr_flags = IFF_UP;
    EXPECT_EQ(::ioctl(fd.get(), SIOCSIFFLAGS, &loopback), 0);
    body();
  }).join();
  if (!entered) GTEST_SKIP() << "needs a network namespace";
}

TEST(ProbePingTest, NeedsTheRightAndSaysSo) {
  InNetwork([] {
    const std::unique_ptr<Engine> engine = Engine::Create();
    Spec spec;
    spec.kind = Kind::kIcmp;
    spec.target = "127.0.0.1";
    test::WriteFile("/proc/sys/net/ipv4/ping_group_range", "1 0");
    const Result blind = Ask(*engine, spec);
    EXPECT_EQ(blind.unknown, UnknownKind::kBlind);
    EXPECT_THAT(blind.error, HasSubstr("deploy/sysctl/50-fleet-ping.conf"));

    test::WriteFile("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
    spec.icmp.count = 3;
    spec.timeout = absl::Seconds(3);
    const Result result = Ask(*engine, spec);
    EXPECT_TRUE(result.success) << result.error;
    EXPECT_GT(result.timings.response, absl::ZeroDuration());
    EXPECT_EQ(Sample(result, "probe_icmp_reply_hop_limit"), 64);
    EXPECT_GT(Sample(result, "probe_icmp_duration_seconds", "rtt"), 0);
    spec.target = "::1";
    spec.icmp.count = 1;
    const Result v6 = Ask(*engine, spec);
    EXPECT_TRUE(v6.success) << v6.error;
    EXPECT_EQ(Sample(v6, "probe_ip_protocol"), 6);
    spec.target = "192.0.2.1";
    EXPECT_EQ(Ask(*engine, spec).error, "Network is unreachable");
    spec.target = "2001:db8::1";
    EXPECT_EQ(Ask(*engine, spec).unknown, UnknownKind::kBlind);
  });
}

}  // namespace
}  // namespace fleet::probe
