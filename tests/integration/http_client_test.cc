#include "common/http_client.h"

#include "tests/support/fake_minio.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet {
namespace {

using ::fleet::test::FakeMinio;
using ::fleet::test::FreePort;
using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::testing::AllOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::StartsWith;

HttpRequest Get(const std::string& url) {
  HttpRequest request;
  request.url = url;
  return request;
}

class HttpClientTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = FakeMinio::Missing(); !missing.empty()) {
      GTEST_SKIP() << "needs " << missing;
    }
    server_ = std::make_unique<FakeMinio>();
  }

  std::unique_ptr<FakeMinio> server_;
  HttpClient client_;
};

TEST_F(HttpClientTest, KeepsTheConnectionAndTimesThePhases) {
  const auto first = client_.Fetch(Get(server_->url("/minio/health/live")));
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->code, 200);
  EXPECT_EQ(first->address, "127.0.0.1");
  EXPECT_FALSE(first->connection_reused);
  ASSERT_NE(first->header("SERVER"), nullptr);
  EXPECT_EQ(*first->header("server"), "MinIO");
  EXPECT_EQ(first->header("x-none"), nullptr);
  EXPECT_GT(first->timings.connected, absl::ZeroDuration());
  EXPECT_GE(first->timings.first_byte, first->timings.connected);
  EXPECT_GE(first->timings.total, first->timings.first_byte);
  EXPECT_EQ(first->timings.tls_done, absl::ZeroDuration());

  const auto second = client_.Fetch(Get(server_->url("/minio/health/live")));
  ASSERT_THAT(second, IsOk());
  EXPECT_TRUE(second->connection_reused);
  HttpRequest anew = Get(server_->url("/minio/health/live"));
  anew.reuse_connection = false;
  const auto third = client_.Fetch(anew);
  ASSERT_THAT(third, IsOk());
  EXPECT_FALSE(third->connection_reused);
}

TEST_F(HttpClientTest, SaysWhichPhaseFailed) {
  EXPECT_THAT(client_.Fetch(Get(absl::StrCat("http://127.0.0.1:", FreePort(), "/"))),
              StatusIs(absl::StatusCode::kUnavailable, Eq("connection refused")));
  EXPECT_THAT(client_.Fetch(Get("http://no-such-host.invalid/")),
              StatusIs(absl::StatusCode::kUnavailable, StartsWith("cannot resolve")));
  HttpRequest tls = Get(absl::StrCat("https", server_->url("/").substr(4)));
  EXPECT_THAT(client_.Fetch(tls), StatusIs(absl::StatusCode::kUnavailable, StartsWith("TLS: ")));
  tls.ca_file = "/nonexistent/ca.pem";
  EXPECT_THAT(client_.Fetch(tls),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot read the CA file")));
  EXPECT_THAT(client_.Fetch(Get("file:///etc/passwd")),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(client_.Fetch(Get("http://")), HasCode(absl::StatusCode::kInvalidArgument));
  HttpRequest split = Get(server_->url("/"));
  split.headers = {{"X-One", "1\r\nX-Two: 2"}};
  EXPECT_THAT(client_.Fetch(split), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST_F(HttpClientTest, SurvivesServersThatMisbehave) {
  server_->Set(R"({"behave": {"/garbage": "garbage", "/close": "close", "/half": "half",
                              "/huge": "huge"}, "slow": {"/slow": 30}})");
  EXPECT_THAT(client_.Fetch(Get(server_->url("/garbage"))),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("HTTP")));
  EXPECT_THAT(client_.Fetch(Get(server_->url("/close"))),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("closed without a reply")));
  EXPECT_THAT(client_.Fetch(Get(server_->url("/half"))),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("broke in the middle")));
  EXPECT_THAT(client_.Fetch(Get(server_->url("/huge"))),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than 1.0 MiB")));
  HttpRequest slow = Get(server_->url("/slow"));
  slow.timeout = absl::Milliseconds(150);
  EXPECT_THAT(client_.Fetch(slow),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("150 ms"), HasSubstr("waiting for a reply"))));
}

TEST_F(HttpClientTest, FetchesSeveralAtOnce) {
  server_->Set(R"({"slow": {"*": 0.2}})");
  const HttpRequest good = Get(server_->url("/minio/health/live"));
  const HttpRequest refused = Get(absl::StrCat("http://127.0.0.1:", FreePort(), "/"));
  const absl::Time begin = absl::Now();
  const auto responses = client_.FetchAll({good, refused, good, good, good});
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(700));  // one after the other: 800 ms
  ASSERT_EQ(responses.size(), 5);
  EXPECT_THAT(responses[0], IsOk());
  EXPECT_THAT(responses[1], HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(responses[4], IsOk());
  EXPECT_TRUE(client_.FetchAll({}).empty());
}

TEST_F(HttpClientTest, SignsSoThatAnotherImplementationAgrees) {
  HttpRequest request;
  request.method = "PUT";
  request.url = server_->url("/canary/" + PercentEncode("one object + (more)/a~b", true));
  request.body = std::string("bytes\0and more", 14);
  request.signer = {.access_key = "fleet-access", .secret_key = "fleet-secret"};
  auto response = client_.Fetch(request);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->code, 200) << response->body;

  request.method = "GET";
  request.body.clear();
  request.url += "?" + MakeQuery({{"x-id", "GetObject"}, {"a", "/ &="}});
  response = client_.Fetch(request);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->code, 200) << response->body;
  EXPECT_EQ(response->body, std::string("bytes\0and more", 14));

  request.method = "DELETE";
  response = client_.Fetch(request);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->code, 204) << response->body;

  request.method = "GET";
  request.signer->secret_key = "fleet-secreT";
  response = client_.Fetch(request);
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->code, 403);
  EXPECT_THAT(response->body, HasSubstr("SignatureDoesNotMatch"));
}

TEST(MakeQueryTest, SortsAndEncodes) {
  EXPECT_EQ(MakeQuery({{"prefix", "a/b c"}, {"list-type", "2"}, {"é", ""}}),
            "%C3%A9=&list-type=2&prefix=a%2Fb%20c");
  EXPECT_EQ(MakeQuery({}), "");
}

TEST(Sha256HexTest, MatchesThePublishedVectors) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace fleet
