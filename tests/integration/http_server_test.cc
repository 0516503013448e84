#include "collector/http/http_server.h"

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HttpGet;
using ::fleet::test::RawConnection;
using ::fleet::test::WaitFor;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// A body of `left` bytes.
class Zeros final : public BodySource {
 public:
  explicit Zeros(size_t left) : left_(left) {}
  absl::StatusOr<size_t> Read(char* out, size_t size) override {
    size = std::min(size, left_);
    std::fill_n(out, size, '0');
    left_ -= size;
    return size;
  }

 private:
  size_t left_;
};

class Broken final : public BodySource {
 public:
  absl::StatusOr<size_t> Read(char* out, size_t) override {
    if (done_) return absl::InternalError("broken");
    done_ = true;
    *out = 'x';
    return 1;
  }

 private:
  bool done_ = false;
};

/// Those who are to be answered later.
struct Pending {
  Mutex mutex;
  std::vector<HttpResponse::Answer> answers ABSL_GUARDED_BY(mutex);

  size_t size() {
    MutexLock lock(mutex);
    return answers.size();
  }
};
Pending pending;

HttpResponse Handle(const HttpRequest& request) {
  HttpResponse response;
  response.route = "test";
  if (request.path == std::vector<std::string>{"long"}) {
    response.source = std::make_unique<Zeros>(100 << 20);
  } else if (request.path == std::vector<std::string>{"later"}) {
    response.later = [](HttpResponse::Answer answer) {
      MutexLock lock(pending.mutex);
      pending.answers.push_back(std::move(answer));
    };
  } else if (request.path == std::vector<std::string>{"at-once"}) {
    response.later = [](const HttpResponse::Answer& answer) {
      HttpResponse made;
      made.body = "at once";
      answer(std::move(made));
      answer(HttpResponse{});  // the first one counts
    };
  } else if (request.path == std::vector<std::string>{"broken"}) {
    response.source = std::make_unique<Broken>();
  } else if (request.method != "GET") {
    response.body = absl::StrCat(request.method, " ", request.body);
  } else {
    response.body = absl::StrCat(absl::StrJoin(request.path, "|"), " ", request.argument("q"), " ",
                                 request.header("x-test"), " ", request.peer);
  }
  return response;
}

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(const ConnectionLimits& limits = {}) {
    HttpServer::Options options;
    options.listen = {"127.0.0.1", 0};
    options.limits = limits;
    options.done = [this](const HttpExchange& exchange) {
      MutexLock lock(mutex_);
      last_ = exchange;
      ++done_;
    };
    auto started = HttpServer::Start(std::move(options), Handle, Clock::Real());
    ASSERT_THAT(started, test::IsOk());
    server_ = *std::move(started);
    port_ = server_->address().port;
  }
  int done() {
    MutexLock lock(mutex_);
    return done_;
  }

  Mutex mutex_;
  HttpExchange last_ ABSL_GUARDED_BY(mutex_);
  int done_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<HttpServer> server_;
  uint16_t port_ = 0;
};

TEST_F(HttpServerTest, GivesTheHandlerADecodedRequest) {
  Start();
  const auto reply = HttpGet(port_, "/a/b%20c%2Fd?q=1%2B1", {{"X-Test", "yes"}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "a|b c/d 1+1 yes 127.0.0.1");
  EXPECT_THAT(reply.headers, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_TRUE(WaitFor([this] { return done() == 1; }));
  MutexLock lock(mutex_);
  EXPECT_EQ(last_.route, "test");
  EXPECT_EQ(last_.status, 200);
  EXPECT_EQ(last_.body_bytes, reply.body.size());
}

TEST_F(HttpServerTest, KeepsTheConnectionForTheNextRequest) {
  Start();
  RawConnection connection(port_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(connection.Send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    EXPECT_THAT(connection.Receive(absl::Seconds(1), 20), StartsWith("HTTP/1.1 200"));
    connection.Receive(absl::Milliseconds(50));
  }
}

TEST_F(HttpServerTest, StreamsWithoutHoldingTheBody) {
  Start();
  const auto reply = HttpGet(port_, "/long");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body.size(), 100 << 20);
}

TEST_F(HttpServerTest, AnswersLaterWithoutHoldingAThread) {
  Start();
  EXPECT_EQ(HttpGet(port_, "/at-once").body, "at once");
  constexpr size_t kWaiting = 10;  // more than the server has threads
  std::vector<std::unique_ptr<RawConnection>> waiting;
  for (size_t i = 0; i < kWaiting; ++i) {
    waiting.push_back(std::make_unique<RawConnection>(port_));
    waiting.back()->Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  EXPECT_TRUE(WaitFor([] { return pending.size() == kWaiting; }));
  EXPECT_EQ(HttpGet(port_, "/a").status, 200);
  std::vector<HttpResponse::Answer> answers;
  {
    MutexLock lock(pending.mutex);
    answers.swap(pending.answers);
  }
  HttpResponse made;
  made.status = 202;
  made.body = "made";
  answers[0](std::move(made));
  std::string got;
  EXPECT_TRUE(WaitFor([&] {
    for (const auto& connection : waiting) {
      got += connection->Receive(absl::Milliseconds(1));
    }
    return absl::StrContains(got, "made");
  }));
  EXPECT_THAT(got, StartsWith("HTTP/1.1 202"));
  server_.reset();  // the others are told
  for (const auto& connection : waiting) got += connection->Receive(absl::Milliseconds(100));
  EXPECT_THAT(got, HasSubstr("503"));
  answers[1](HttpResponse{});  // nobody waits any more
}

TEST_F(HttpServerTest, HeadIsGetWithoutTheBody) {
  Start();
  for (const char* path : {"/a", "/long"}) {
    const auto reply = HttpGet(port_, path, {}, "HEAD");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "");
  }
}

TEST_F(HttpServerTest, ABrokenBodyCutsTheConnection) {
  Start();
  RawConnection connection(port_);
  connection.Send("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string text = connection.Receive();
  EXPECT_THAT(text, HasSubstr("chunked"));
  EXPECT_THAT(text, Not(HasSubstr("\r\n0\r\n"))) << "the last chunk would say that it is whole";
}

TEST_F(HttpServerTest, AnswersBadRequestsWithTheirStatus) {
  Start();
  struct {
    std::string request;
    int status;
  } const cases[] = {
      {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nxxxx", 413},
      {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413},
      {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413},
      {"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", 200},
      {"BREW /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 405},
      {"BREW /a HTTP/1.1\r\nHost: x\r\n\r\n", 405},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /a HTTP/1.1\r\n\r\n", 400},  // no Host
      {"GET /" + std::string(4000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
      {"GET /a HTTP/1.1\r\nHost: x\r\nX: " + std::string(20000, 'a') + "\r\n\r\n", 431},
      {"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345", 200},
  };
  for (const auto& [request, status] : cases) {
    SCOPED_TRACE(request.substr(0, 60));
    RawConnection connection(port_);
    connection.Send(request);
    EXPECT_THAT(connection.Receive(absl::Seconds(1), 200),
                StartsWith(absl::StrCat("HTTP/1.1 ", status)));
  }
  EXPECT_THAT(HttpGet(port_, "/a", {}, "BREW").headers, HasSubstr("Allow: GET, HEAD, POST"));
  // Below /api programs read them.
  const test::HttpReply api = HttpGet(port_, "/api/checks", {}, "BREW");
  EXPECT_THAT(api.headers, HasSubstr("application/json"));
  EXPECT_EQ(api.body, "{\"error\":\"no such method\"}");
}

TEST_F(HttpServerTest, GivesTheHandlerTheWholeBody) {
  Start();
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(test::HttpSend(port_, method, "/a", "a=1&b=2").body,
              absl::StrCat(method, " a=1&b=2"));
  }
  const std::string most(HttpServer::kBodyBytesMax, 'x');
  EXPECT_EQ(test::HttpSend(port_, "POST", "/a", most).body, absl::StrCat("POST ", most));
  EXPECT_EQ(test::HttpSend(port_, "POST", "/a", most + "x").status, 413);
}

TEST_F(HttpServerTest, TakesABodyInPiecesAndKeepsTheConnection) {
  Start();
  RawConnection connection(port_);
  connection.Send(
      "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_THAT(connection.Receive(absl::Seconds(5), 25), StartsWith("HTTP/1.1 100 Continue"));
  for (const char* piece : {"3\r\nabc\r\n", "2\r\nde\r\n", "0\r\n\r\n"}) connection.Send(piece);
  EXPECT_TRUE(WaitFor([this] { return done() == 1; }));
  EXPECT_THAT(connection.Receive(absl::Milliseconds(200)), HasSubstr("\r\n\r\nPOST abcde"));
  connection.Send("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz");
  EXPECT_THAT(connection.Receive(absl::Milliseconds(200)), HasSubstr("\r\n\r\nPUT z"));
}

TEST_F(HttpServerTest, ABodyInPiecesThatIsTooLongIsNotKept) {
  Start();
  RawConnection connection(port_);
  connection.Send("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    connection.Send(absl::StrCat("1000\r\n", std::string(4096, 'x'), "\r\n"));
  }
  connection.Send("0\r\n\r\n");
  EXPECT_THAT(connection.Receive(absl::Seconds(5), 200), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServerTest, DrippedBodiesAreCutOffAndCounted) {
  Start({.request = absl::Milliseconds(600)});
  RawConnection drip(port_);
  drip.Send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");
  EXPECT_TRUE(WaitFor([&drip] { return !drip.Send("a") || drip.Closed(absl::ZeroDuration()); },
                      absl::Seconds(10)));
  EXPECT_TRUE(WaitFor([this] { return server_->connections().size() == 0; }, absl::Seconds(10)));
  EXPECT_EQ(server_->connections().shut_for_deadline(), 1);
}

TEST_F(HttpServerTest, SurvivesGarbageAndHugeHeaders) {
  Start();
  for (const std::string& bytes :
       {std::string("\0\1\2\3\r\n\r\n", 8), std::string(1 << 20, 'a'), std::string(1 << 20, '\n'),
        "GET /a HTTP/1.1\r\nX: " + std::string(4 << 20, 'a'), std::string("GET\r\n\r\n"),
        std::string("GET / HTTP/9.9\r\nHost: x\r\n\r\n")}) {
    RawConnection connection(port_);
    connection.Send(bytes);
    connection.Receive(absl::Milliseconds(200), 1000);
  }
  EXPECT_EQ(HttpGet(port_, "/a").status, 200);
}

TEST_F(HttpServerTest, DrippedRequestsAndSlowReadersAreCutOff) {
  Start({.request = absl::Milliseconds(600), .response = absl::Milliseconds(900)});
  RawConnection drip(port_);
  RawConnection reader(port_);
  reader.Send("GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
  drip.Send("GET /a HTTP/1.1\r\n");
  const absl::Time start = absl::Now();
  EXPECT_TRUE(
      WaitFor([&drip] { return !drip.Send("X: y\r\n") || drip.Closed(absl::ZeroDuration()); },
              absl::Seconds(10)));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_TRUE(WaitFor([this] { return server_->connections().size() == 0; }, absl::Seconds(10)));
  EXPECT_EQ(server_->connections().shut_for_deadline(), 2);
}

TEST_F(HttpServerTest, ScrapesGoOnDuringAFlood) {
  Start({.total = 20, .per_address = 10});
  std::vector<RawConnection> flood;
  for (int i = 0; i < 300; ++i) {
    flood.emplace_back(port_).Send("GET / HTTP/1.1\r\n");
    if (i % 20 == 0) {
      EXPECT_EQ(HttpGet(port_, "/a").status, 200) << "after " << i;
    }
  }
  EXPECT_TRUE(WaitFor([this] { return server_->connections().size() <= 20; }));
}

constexpr char kGetLong[] = "GET /long HTTP/1.0\r\n\r\n";

TEST_F(HttpServerTest, AnswersBeyondTheLimitWaitForTheirTurn) {
  Start({.streams = 1, .stall = absl::Hours(1)});
  RawConnection first(port_);
  RawConnection second(port_);
  first.Send(kGetLong);
  EXPECT_THAT(first.Receive(absl::Seconds(5), 100), StartsWith("HTTP/1.1 200"));
  second.Send(kGetLong);
  EXPECT_EQ(second.Receive(absl::Milliseconds(200)), "");
  EXPECT_EQ(HttpGet(port_, "/a").status, 200) << "other answers do not wait";
  EXPECT_GT(first.Receive(absl::Minutes(1)).size(), 99u << 20);
  EXPECT_GT(second.Receive(absl::Minutes(1)).size(), 100u << 20);
}

TEST_F(HttpServerTest, WhoDoesNotReadGivesWayToWhoWaits) {
  Start({.streams = 1, .stall = absl::Milliseconds(50)});
  RawConnection stalled(port_);
  stalled.Send(kGetLong);
  EXPECT_THAT(stalled.Receive(absl::Seconds(5), 100), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(HttpGet(port_, "/long").body.size(), 100 << 20);
  EXPECT_EQ(server_->connections().shut_for_stall(), 1);
}

TEST_F(HttpServerTest, StopsWhileSomebodyWaits) {
  Start({.streams = 1, .stall = absl::Hours(1)});
  RawConnection first(port_);
  RawConnection second(port_);
  first.Send(kGetLong);
  EXPECT_THAT(first.Receive(absl::Seconds(5), 100), StartsWith("HTTP/1.1 200"));
  second.Send(kGetLong);
  EXPECT_EQ(second.Receive(absl::Milliseconds(100)), "");
  server_.reset();
  EXPECT_TRUE(second.Closed(absl::Seconds(5)));
}

TEST_F(HttpServerTest, StopAcceptingRefusesNewClients) {
  Start();
  EXPECT_EQ(HttpGet(port_, "/a").status, 200);
  server_->StopAccepting();
  server_.reset();
  auto again = HttpServer::Start({.listen = {"127.0.0.1", port_}, .limits = {}, .done = {}}, Handle,
                                 Clock::Real());
  EXPECT_THAT(again, test::IsOk()) << "the port is free at once";
}

TEST_F(HttpServerTest, SaysWhyItCannotListen) {
  Start();
  EXPECT_THAT(HttpServer::Start({.listen = {"127.0.0.1", port_}, .limits = {}, .done = {}}, Handle,
                                Clock::Real()),
              test::StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("bind 127.0.0.1:")));
  EXPECT_THAT(
      HttpServer::Start({.listen = {"tempo", 0}, .limits = {}, .done = {}}, Handle, Clock::Real()),
      test::StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("numeric")));
}

}  // namespace
}  // namespace fleet::collector
