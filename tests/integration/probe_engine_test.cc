#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <thread>

#include "absl/strings/match.h"
#include "common/mutex.h"
#include "common/probe/probe.h"
#include "common/scoped_fd.h"
#include "tests/support/fake_site.h"
#include "tests/support/probe_result.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::probe {
namespace {

using ::fleet::test::Ask;
using ::fleet::test::FakeConnection;
using ::fleet::test::FakeSite;
using ::fleet::test::FreePort;
using ::fleet::test::HttpAnswer;
using ::fleet::test::Sample;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Pair;
using ::testing::StartsWith;

Spec Http(std::string url) {
  Spec spec;
  spec.target = std::move(url);
  return spec;
}

std::string PathOf(const std::string& request) {
  const size_t begin = request.find(' ') + 1;
  return request.substr(begin, request.find(' ', begin) - begin);
}

class ProbeEngineTest : public ::testing::Test {
 protected:
  std::unique_ptr<Engine> engine_ = Engine::Create();
};

TEST_F(ProbeEngineTest, TellsTimesAndSamplesOfAReply) {
  const auto site = FakeSite::Http(
      [](const std::string&) { return HttpAnswer(200, "hello", "X-Upstream: tempo\r\n"); });
  Spec spec = Http(site->url());
  spec.http.report_headers = {"x-upstream", "x-none"};
  const Result result = Ask(*engine_, spec);
  EXPECT_TRUE(result.success) << result.error;
  EXPECT_EQ(result.status, 200);
  EXPECT_EQ(result.address, "127.0.0.1");
  EXPECT_EQ(result.family, IpFamily::kIpv4);
  EXPECT_THAT(result.reported, ElementsAre(Pair("x-upstream", "tempo")));
  EXPECT_EQ(result.timings.redirect + result.timings.handshake, absl::ZeroDuration());
  const Timings& t = result.timings;
  const absl::Duration sum = t.redirect + t.namelookup + t.connection + t.handshake + t.response;
  EXPECT_LT(absl::AbsDuration(sum - t.total), absl::Milliseconds(20));
  EXPECT_EQ(Sample(result, "probe_success"), 1);
  EXPECT_EQ(Sample(result, "probe_http_status_code"), 200);
  EXPECT_EQ(Sample(result, "probe_http_version"), 1.1);
  EXPECT_EQ(Sample(result, "probe_http_content_length"), 5);
  EXPECT_EQ(Sample(result, "probe_http_uncompressed_body_length"), 5);
  EXPECT_EQ(Sample(result, "probe_ip_addr_hash"), 3668918509);
}

TEST_F(ProbeEngineTest, FollowsRedirectsAndForgetsSecretsOnTheWay) {
  Mutex mutex;
  std::vector<std::string> requests;
  const auto record = [&](const std::string& request) {
    MutexLock lock(mutex);
    requests.push_back(request);
  };
  const auto other = FakeSite::Http([&](const std::string& request) {
    record(request);
    return HttpAnswer(200, "there");
  });
  const auto site = FakeSite::Http([&](const std::string& request) {
    record(request);
    if (PathOf(request) == "/a") return HttpAnswer(302, "", "Location: b c\r\n");
    return HttpAnswer(303, "", absl::StrCat("Location: ", other->url("/end"), "\r\n"));
  });
  Spec spec = Http(site->url("/a"));
  spec.http.method = "POST";
  spec.http.body = "data";
  spec.http.bearer_token = "secret";
  spec.http.headers = {{"X-Key", "secret"}, {"Accept", "text/html"}};
  spec.http.final_url = other->url("/end");
  const Result result = Ask(*engine_, spec);
  EXPECT_TRUE(result.success) << result.error;
  EXPECT_GT(result.timings.redirect, absl::ZeroDuration());
  EXPECT_EQ(Sample(result, "probe_http_redirects"), 2);
  MutexLock lock(mutex);
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_THAT(requests[0], AllOf(StartsWith("POST /a "), HasSubstr("Bearer secret")));
  EXPECT_THAT(requests[1], AllOf(StartsWith("GET /b%20c "), HasSubstr("X-Key: secret")));
  EXPECT_THAT(requests[2], AllOf(StartsWith("GET /end "), HasSubstr("Accept: text/html"),
                                 ::testing::Not(HasSubstr("secret"))));
}

TEST_F(ProbeEngineTest, EndsRedirectLoops) {
  const auto site = FakeSite::Http(
      [](const std::string&) { return HttpAnswer(302, "again", "Location: /loop\r\n"); });
  const Result loop = Ask(*engine_, Http(site->url("/loop")));
  EXPECT_EQ(loop.error, absl::StrCat("redirect loop at ", site->url("/loop")));
  EXPECT_EQ(Sample(loop, "probe_http_redirects"), 11);
  Spec spec = Http(site->url("/"));
  spec.http.redirects_max = 0;
  const Result result = Ask(*engine_, spec);
  EXPECT_EQ(result.error, "302");
  EXPECT_EQ(result.status, 302);
  std::atomic<int> number = 0;
  const auto chain = FakeSite::Http([&](const std::string&) {
    return HttpAnswer(301, "", absl::StrCat("Location: /", ++number, "\r\n"));
  });
  EXPECT_EQ(Ask(*engine_, Http(chain->url())).error, "more than 10 redirects");
  const auto odd = FakeSite::Http(
      [&](const std::string&) { return HttpAnswer(301, "", "Location: file:///etc/passwd\r\n"); });
  EXPECT_THAT(Ask(*engine_, Http(odd->url())).error, StartsWith("redirect: no usable URL"));
}

TEST_F(ProbeEngineTest, AsksWithHeadFirstAndGetWhenTheServerWantsThat) {
  const auto site = FakeSite::Http([](const std::string& request) {
    return absl::StartsWith(request, "HEAD") ? HttpAnswer(405, "") : HttpAnswer(200, "x");
  });
  Spec spec = Http(site->url());
  spec.http.head_first = true;
  EXPECT_TRUE(Ask(*engine_, spec).success);
  EXPECT_EQ(site->connections(), 2);
  spec.http.body_contains = "x";
  EXPECT_TRUE(Ask(*engine_, spec).success);
  EXPECT_EQ(site->connections(), 3);
}

/// Takes the port of `site` on 127.0.0.2 and answers nobody there: its queue is full.
class SilentPort {
 public:
  explicit SilentPort(uint16_t port) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
    const auto* to = reinterpret_cast<const sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), to, sizeof(address)), 0);
    EXPECT_EQ(::listen(listener_.get(), 0), 0);
    for (int i = 0; i < 4; ++i) {
      waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(waiting_.back().get(), to, sizeof(address));
    }
  }

 private:
  const ScopedFd listener_ = ScopedFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<ScopedFd> waiting_;
};

TEST_F(ProbeEngineTest, GoesOnFromAnAddressThatSwallowsEverything) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root for a hosts file of its own";
  const auto site = FakeSite::Http([](const std::string&) { return HttpAnswer(200, "x"); });
  const SilentPort silent(site->port());
  const test::TempDir dir;
  test::WriteFile(dir / "hosts", "127.0.0.2 two.test\n127.0.0.1 two.test\n127.0.0.2 one.test\n");
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount((dir / "hosts").c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr), 0);
    const std::unique_ptr<Engine> engine = Engine::Create();
    Spec http = Http(absl::StrCat("http://two.test:", site->port(), "/"));
    http.timeout = absl::Seconds(2);
    Result result = Ask(*engine, http);
    EXPECT_TRUE(result.success) << result.error;
    EXPECT_EQ(result.address, "127.0.0.1");
    Spec tcp;
    tcp.kind = Kind::kTcp;
    tcp.target = absl::StrCat("two.test:", site->port());
    tcp.timeout = absl::Seconds(2);
    result = Ask(*engine, tcp);
    EXPECT_TRUE(result.success) << result.error;
    EXPECT_EQ(result.address, "127.0.0.1");
    tcp.tcp.expect_closed = true;  // at every address
    EXPECT_EQ(Ask(*engine, tcp).error, "the port is open, which must not be");
    // The only address has all the time there is.
    http.target = absl::StrCat("http://one.test:", site->port(), "/");
    EXPECT_EQ(Ask(*engine, http).error, "Connection timeout (2 seconds)");
  }).join();
}

TEST_F(ProbeEngineTest, ComparesHeadAndGetAndJudgesGet) {
  int head = 200;
  int get = 500;
  const auto site = FakeSite::Http([&](const std::string& request) {
    return HttpAnswer(absl::StartsWith(request, "HEAD") ? head : get, "");
  });
  Spec spec = Http(site->url());
  spec.http.head_first = true;
  spec.http.compare_head = true;
  Result result = Ask(*engine_, spec);
  EXPECT_EQ(result.error, "500");
  EXPECT_EQ(result.method, "GET");
  EXPECT_EQ(result.head_agrees, false);
  head = 404;
  get = 200;
  result = Ask(*engine_, spec);
  EXPECT_TRUE(result.success);
  EXPECT_EQ(result.head_agrees, false);
  head = 200;
  result = Ask(*engine_, spec);
  EXPECT_TRUE(result.success);
  EXPECT_EQ(result.head_agrees, true);
  EXPECT_EQ(site->connections(), 6);
  spec.http.compare_head = false;
  result = Ask(*engine_, spec);
  EXPECT_EQ(result.method, "HEAD");
  EXPECT_EQ(result.head_agrees, std::nullopt);
  EXPECT_EQ(site->connections(), 7);
}

TEST_F(ProbeEngineTest, JudgesTheReply) {
  const auto site = FakeSite::Http([](const std::string& request) {
    if (PathOf(request) == "/502") return HttpAnswer(502, "bad");
    return HttpAnswer(200,
                      R"({"contacts":[{"name":"ann","age":7}],"text":"caf)"
                      "\xe9\"}",
                      "Upstream: tempo\r\nContent-Type: text/html; charset=utf-7\r\n");
  });
  EXPECT_EQ(Ask(*engine_, Http(site->url("/502"))).error, "502");
  Spec any = Http(site->url("/502"));
  any.http.any_status = true;
  any.http.body_contains = "bad";
  EXPECT_TRUE(Ask(*engine_, any).success);
  any.http.body_contains = "good";
  const Result no_match = Ask(*engine_, any);
  EXPECT_EQ(no_match.error, "no_match");
  EXPECT_EQ(Sample(no_match, "probe_failed_due_to_regex"), 1);

  struct Case {
    std::function<void(HttpSpec&)> rule;
    std::string error;
  };
  const std::vector<Case> cases = {
      {[](HttpSpec& s) { s.body_matches = "cont.*ann"; }, ""},
      {[](HttpSpec& s) { s.body_matches = "^$"; }, "no_match"},
      {[](HttpSpec& s) { s.body_does_not_match = "ann"; }, "the body matches \"ann\""},
      {[](HttpSpec& s) {
         s.header_rules = {{"upstream", "^(tempo|b2)$"}};
       },
       ""},
      {[](HttpSpec& s) {
         s.header_rules = {{"Upstream", "b2"}};
       },
       "header Upstream is \"tempo\", which must match \"b2\""},
      {[](HttpSpec& s) {
         s.header_rules = {{"x", "b2"}};
       },
       "no header \"x\""},
      {[](HttpSpec& s) {
         s.header_rules = {{"x", "b2", false, true}};
       },
       ""},
      {[](HttpSpec& s) {
         s.header_rules = {{"upstream", "temp", false}};
       },
       "header upstream is \"tempo\", which must not match \"temp\""},
      {[](HttpSpec& s) {
         s.json_rules = {{"contacts.0.name", "ann"}};
       },
       "the body is no JSON"},
      {[](HttpSpec& s) { s.fail_if_not_tls = true; }, "ends without TLS"},
      {[](HttpSpec& s) {
         s.valid_status = {{301, 301}};
       },
       "200"},
  };
  for (const Case& c : cases) {
    Spec spec = Http(site->url());
    c.rule(spec.http);
    EXPECT_EQ(Ask(*engine_, spec).error, c.error);
  }
}

TEST_F(ProbeEngineTest, CutsLongBodiesAndEndsSlowOnes) {
  const FakeSite endless([](FakeConnection& connection) {
    connection.ReadUntil("\r\n\r\n");
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\nneedle");
    const std::string block(1 << 16, 'x');
    while (connection.Write(block)) {
    }
  });
  Spec spec = Http(endless.url());
  spec.http.body_contains = "needle";
  const Result cut = Ask(*engine_, spec);
  EXPECT_TRUE(cut.success) << cut.error;
  EXPECT_EQ(Sample(cut, "probe_http_uncompressed_body_length"), Engine::kBodyBytesMax);
  EXPECT_EQ(Sample(cut, "probe_http_content_length"), 1073741824);

  const FakeSite dripping([](FakeConnection& connection) {
    connection.ReadUntil("\r\n\r\n");
    connection.Write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx");
    connection.WaitForClose();
  });
  spec = Http(dripping.url());
  spec.timeout = absl::Milliseconds(300);
  const Result slow = Ask(*engine_, spec);
  EXPECT_EQ(slow.error, "Response timeout (0.3 seconds)");
  EXPECT_EQ(slow.status, 0);
  EXPECT_LT(slow.timings.total, absl::Seconds(5));
}

TEST_F(ProbeEngineTest, SaysWhatFailed) {
  EXPECT_EQ(Ask(*engine_, Http(absl::StrCat("http://127.0.0.1:", FreePort(), "/"))).error,
            "Connection refused");
  const Result unknown_name = Ask(*engine_, Http("http://no-such-host.invalid/"));
  EXPECT_THAT(unknown_name.error, StartsWith("DNS: no"));
  EXPECT_EQ(unknown_name.unknown, UnknownKind::kNone);
  const FakeSite silent([](FakeConnection& connection) { connection.ReadUntil("\r\n\r\n"); });
  EXPECT_EQ(Ask(*engine_, Http(silent.url())).error, "Connection closed without a reply");
  const FakeSite ssh([](FakeConnection& connection) {
    connection.Write("SSH-2.0-OpenSSH_9.2\r\n");
    connection.WaitForClose();
  });
  EXPECT_EQ(Ask(*engine_, Http(ssh.url())).error, "The answer is no HTTP");
  EXPECT_THAT(Ask(*engine_, Http(absl::StrCat("https://", ssh.address(), "/"))).error,
              StartsWith("TLS: "));
}

TEST_F(ProbeEngineTest, RefusesWhatCannotBeAsked) {
  const auto error = [&](const Spec& spec) {
    const Result result = Ask(*engine_, spec);
    EXPECT_EQ(result.unknown, UnknownKind::kError);
    EXPECT_EQ(Sample(result, "probe_success"), 0);
    return result.error;
  };
  for (const char* url : {"", "chitter.xyz", "http://", "http://a b/", "file:///etc/passwd",
                          "http://a/\r\nX: y", "gopher://a/", "http://[::1/", "http://a:99999/"}) {
    EXPECT_THAT(error(Http(url)), ::testing::Not(IsEmpty())) << url;
  }
  Spec spec = Http("http://127.0.0.1/");
  spec.http.headers = {{"X", "a\r\nY: b"}};
  EXPECT_EQ(error(spec), "header X has a line break");
  spec.http.headers = {{"X Y", "a"}};
  EXPECT_EQ(error(spec), "no header name: \"X Y\"");
  spec.http.headers.clear();
  spec.http.method = "GET / HTTP/1.1\r\n";
  EXPECT_THAT(error(spec), StartsWith("no method"));
  spec.http.method = "GET";
  spec.http.body_matches = "(";
  EXPECT_THAT(error(spec), StartsWith("body: \"(\" is no pattern: "));
  spec.http.body_matches = "";
  spec.timeout = absl::ZeroDuration();
  EXPECT_THAT(error(spec), StartsWith("the timeout"));
}

TEST_F(ProbeEngineTest, AsksTheGuardForEveryAddress) {
  const auto inside = FakeSite::Http([](const std::string&) { return HttpAnswer(200, ""); });
  const auto site = FakeSite::Http([&](const std::string&) {
    return HttpAnswer(302, "", absl::StrCat("Location: ", inside->url(), "\r\n"));
  });
  Spec spec = Http(site->url());
  spec.guard = RefusePrivateAddress;
  const Result refused = Ask(*engine_, spec);
  EXPECT_EQ(refused.unknown, UnknownKind::kBlind);
  EXPECT_THAT(refused.error, HasSubstr("is a loopback address"));
  EXPECT_EQ(site->connections(), 0);
  // A public site that sends us inside.
  const uint16_t port = site->port();
  spec.guard = [port](const std::string& address, int asked) {
    return asked == port ? std::string() : RefusePrivateAddress(address, asked);
  };
  const Result redirected = Ask(*engine_, spec);
  EXPECT_EQ(redirected.unknown, UnknownKind::kNone);  // it is down
  EXPECT_THAT(redirected.error, StartsWith("redirect to what may not be asked: "));
  EXPECT_EQ(inside->connections(), 0);
  // A name that means another address when it is connected to than when it was looked up.
  std::atomic<int> asked = 0;
  Spec rebound = Http(inside->url());
  rebound.guard = [&asked](const std::string&, int) {
    return ++asked == 1 ? std::string() : std::string("no longer");
  };
  EXPECT_THAT(Ask(*engine_, rebound).error, HasSubstr("no longer"));
  EXPECT_EQ(inside->connections(), 0);
  rebound.kind = Kind::kTcp;
  rebound.target = inside->address();
  asked = 0;
  EXPECT_THAT(Ask(*engine_, rebound).error, HasSubstr("no longer"));
  EXPECT_EQ(inside->connections(), 0);
}

TEST_F(ProbeEngineTest, ChoosesTheFamily) {
  const auto site = FakeSite::Http([](const std::string&) { return HttpAnswer(200, ""); });
  Spec spec = Http(absl::StrCat("http://localhost:", site->port(), "/"));
  spec.family = IpFamily::kIpv6;  // "localhost" has it, but nobody listens there
  spec.family_fallback = false;
  EXPECT_FALSE(Ask(*engine_, spec).success);
  spec.family = IpFamily::kIpv4;
  EXPECT_TRUE(Ask(*engine_, spec).success);
  spec.target = site->url();
  spec.family = IpFamily::kIpv6;
  EXPECT_EQ(Ask(*engine_, spec).error, "DNS: no IPv6 address");
  spec.family_fallback = true;
  EXPECT_TRUE(Ask(*engine_, spec).success);
}

TEST_F(ProbeEngineTest, HoldsTheLatencyLimit) {
  const auto site = FakeSite::Http([](const std::string&) { return HttpAnswer(200, ""); });
  Spec spec = Http(site->url());
  spec.latency_max = absl::Nanoseconds(1);
  const Result slow = Ask(*engine_, spec);
  EXPECT_FALSE(slow.success);
  EXPECT_THAT(slow.error, StartsWith("slow: "));
  EXPECT_EQ(slow.status, 200);
}

TEST_F(ProbeEngineTest, TalksTcp) {
  const FakeSite redis([](FakeConnection& connection) {
    if (connection.ReadUntil("\r\n") == "PING\r\n") connection.Write("+PONG\r\n");
  });
  Spec spec;
  spec.kind = Kind::kTcp;
  spec.target = redis.address();
  EXPECT_TRUE(Ask(*engine_, spec).success);
  spec.tcp.steps = {{"PING\r\n", ""}, {"", "^\\+PONG$"}};
  const Result pong = Ask(*engine_, spec);
  EXPECT_TRUE(pong.success) << pong.error;
  spec.tcp.steps = {{"PING\r\n", ""}, {"", "^-ERR"}};
  const Result other = Ask(*engine_, spec);
  EXPECT_EQ(other.error, "no_match: +PONG");
  EXPECT_EQ(Sample(other, "probe_failed_due_to_regex"), 1);

  const FakeSite irc([](FakeConnection& connection) {
    connection.Write("NOTICE\r\nPING :abc\r\n");
    if (connection.ReadUntil("\n") == "PONG abc\n") connection.Write("done");
    connection.WaitForClose();
  });
  spec.target = irc.address();
  spec.tcp.steps = {{"PONG ${1}\n", "PING :([^ ]+)"}, {"", "^done$"}};
  EXPECT_TRUE(Ask(*engine_, spec).success);
  spec.timeout = absl::Milliseconds(300);
  spec.tcp.steps = {{"", "never"}};
  EXPECT_EQ(Ask(*engine_, spec).error, "Response timeout (0.3 seconds)");
}

TEST_F(ProbeEngineTest, ExpectsPortsToBeClosed) {
  Spec spec;
  spec.kind = Kind::kTcp;
  spec.tcp.expect_closed = true;
  spec.target = absl::StrCat("127.0.0.1:", FreePort());
  EXPECT_TRUE(Ask(*engine_, spec).success);
  const FakeSite open([](FakeConnection& connection) { connection.WaitForClose(); });
  spec.target = open.address();
  EXPECT_EQ(Ask(*engine_, spec).error, "the port is open, which must not be");
}

TEST_F(ProbeEngineTest, LetsSlowTargetsBlockNobody) {
  const FakeSite stuck([](FakeConnection& connection) { connection.WaitForClose(); });
  const auto quick = FakeSite::Http([](const std::string&) { return HttpAnswer(200, ""); });
  std::atomic<int> ended = 0;
  Spec slow = Http(stuck.url());
  slow.timeout = absl::Minutes(1);
  for (int i = 0; i < 100; ++i) engine_->Start(slow, [&](const Result&) { ++ended; });
  EXPECT_TRUE(Ask(*engine_, Http(quick->url())).success);
  EXPECT_EQ(engine_->running(), 100U);
  EXPECT_EQ(ended, 0);
  engine_.reset();  // ends them
  EXPECT_EQ(ended, 100);
}

TEST_F(ProbeEngineTest, LetsMoreThanItsRoomWait) {
  const FakeSite stuck([](FakeConnection& connection) { connection.WaitForClose(); });
  std::atomic<int> ended = 0;
  Spec slow = Http(stuck.url());
  slow.timeout = absl::Minutes(1);
  for (size_t i = 0; i < Engine::kConcurrentMax + 3; ++i) {
    engine_->Start(slow, [&](const Result& result) {
      EXPECT_EQ(result.unknown, UnknownKind::kError);
      ++ended;
    });
  }
  EXPECT_TRUE(test::WaitFor([&] { return engine_->waiting() == 3; }));
  EXPECT_EQ(engine_->running(), Engine::kConcurrentMax);
  engine_.reset();
  EXPECT_EQ(ended, static_cast<int>(Engine::kConcurrentMax) + 3);
}

}  // namespace
}  // namespace fleet::probe
