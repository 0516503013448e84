// An announcement from `fleetctl announce` to everybody who can read it.
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "collector/collector.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/raw_http.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HttpGet;
using ::fleet::test::HttpReply;
using ::fleet::test::IsOk;
using ::fleet::test::Output;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class AnnounceTest : public ::testing::Test {
 protected:
  void SetUp() override { Restart(); }
  void Restart() {
    collector_.reset();
    CollectorOptions options;
    options.grpc = {"127.0.0.1", 0};
    options.http = {"127.0.0.1", 0};
    options.data_dir = dir_ / "data";
    auto started = Collector::Start(std::move(options), Clock::Real());
    ASSERT_THAT(started, IsOk());
    collector_ = *std::move(started);
  }
  Output Ctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {FLEET_BIN_DIR "/fleetctl", "--insecure", "--collector",
                                         collector_->grpc_address().ToString()});
    return test::RunProgram(std::move(arguments));
  }
  HttpReply Updates(const test::HttpHeaders& headers = {}) {
    return HttpGet(collector_->http_address().port, "/updates.html?_=1700000000000", headers);
  }

  test::TempDir dir_;
  std::unique_ptr<Collector> collector_;
};

TEST_F(AnnounceTest, IsReadByEverybodyAtOnceAndAfterARestart) {
  EXPECT_THAT(Updates().body, IsEmpty());
  const Output posted = Ctl({"announce", "Uploads are **slow**. <script>alert(1)</script>"});
  ASSERT_EQ(posted.exit_code, 0) << posted.text;
  EXPECT_THAT(posted.text, HasSubstr("is investigating"));
  const std::string id = posted.text.substr(0, 6);
  const HttpReply reply = Updates();
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.headers, AllOf(HasSubstr("Content-Type: text/html; charset=utf-8"),
                                   HasSubstr("Cache-Control: no-cache"),
                                   HasSubstr("Access-Control-Allow-Origin: *")));
  EXPECT_THAT(reply.body, AllOf(HasSubstr("<strong>slow</strong>"), HasSubstr("&lt;script&gt;"),
                                Not(HasSubstr("<script"))));

  const Output updated = Ctl({"announce", "--update", id, "--state", "resolved", "Fast again."});
  EXPECT_THAT(updated.text, HasSubstr(id + " is resolved"));
  Restart();
  EXPECT_THAT(Updates().body, AllOf(HasSubstr("Fast again."), HasSubstr("<strong>slow</strong>")));
  EXPECT_THAT(Ctl({"announce", "--list"}).text, AllOf(HasSubstr(id), HasSubstr("resolved")));
  EXPECT_TRUE(test::WaitFor([&] {
    const std::string events = Ctl({"events", "-o", "json"}).text;
    return absl::StrContains(events, absl::StrCat("announcement/", id)) &&
           absl::StrContains(events, "Fast again.");
  }));
}

TEST_F(AnnounceTest, IsOnTheStatusPageWhichRunsNothingElse) {
  ASSERT_EQ(Ctl({"announce", "Uploads are **slow**."}).exit_code, 0);
  const HttpReply page = HttpGet(collector_->http_address().port, "/status");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.headers, AllOf(HasSubstr("Content-Security-Policy: default-src 'none'"),
                                  HasSubstr("frame-ancestors 'none'"), HasSubstr("ETag: ")));
  EXPECT_THAT(page.body, AllOf(HasSubstr("<strong>slow</strong>"), HasSubstr("void after")));
}

TEST_F(AnnounceTest, SaysWhatIsWrong) {
  const Output nothing = Ctl({"announce"});
  EXPECT_EQ(nothing.exit_code, 64);
  EXPECT_THAT(nothing.text, HasSubstr("expected a text"));
  const Output unknown = Ctl({"announce", "--update", "123456", "text"});
  EXPECT_EQ(unknown.exit_code, 64);
  EXPECT_THAT(unknown.text, HasSubstr("no announcement \"123456\""));
  EXPECT_EQ(Ctl({"announce", "--state", "fixed", "text"}).exit_code, 64);
}

TEST_F(AnnounceTest, WhatIsKnownIsNotSentAgain) {
  ASSERT_EQ(Ctl({"announce", "x"}).exit_code, 0);
  const HttpReply first = Updates();
  const size_t at = first.headers.find("ETag: ");
  ASSERT_NE(at, std::string::npos);
  const std::string etag = first.headers.substr(at + 6, first.headers.find('\r', at) - at - 6);
  EXPECT_EQ(Updates({{"If-None-Match", etag}}).status, 304);
  ASSERT_EQ(Ctl({"announce", "y"}).exit_code, 0);
  EXPECT_EQ(Updates({{"If-None-Match", etag}}).status, 200);
}

}  // namespace
}  // namespace fleet::collector
