#include "collector/web/web.h"

#include "tests/support/fake_clock.h"
#include "tests/support/fake_probes.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

using ::fleet::test::FakeProbes;
using ::fleet::test::WaitFor;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class WebTest : public ::testing::Test {
 protected:
  WebTest() {
    FakeProbes::Definition(probes_.Add("1kae", "https://chitter.xyz")).alias = "chitter";
    FakeProbes::Definition(probes_.Add("zzz9", "https://secret.example")).published = false;
    store_ = *AnnouncementStore::Open("", clock_);
    web_ = std::make_unique<Web>(Web::Parts{*store_, clock_, &probes_, {}});
    routes_.Add(web_->Paths());
  }
  HttpResponse Get(std::vector<std::string> path, const std::string& etag = "") {
    HttpRequest request;
    request.path = std::move(path);
    if (!etag.empty()) request.headers = {{"If-None-Match", etag}};
    return routes_.Answer(request);
  }
  uint64_t Number() { return web_->files()->number; }

  test::FakeClock clock_;
  FakeProbes probes_;
  std::unique_ptr<AnnouncementStore> store_;
  FleetState state_{clock_, {}};
  SelfMetrics metrics_;
  Routes routes_{state_, metrics_, AccessKeys({})};
  std::unique_ptr<Web> web_;  // its thread ends before what it uses
};

TEST_F(WebTest, ServesEveryFileToEveryOrigin) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> files = {
      {{"status"}, "text/html; charset=utf-8"},
      {{"updates.html"}, "text/html; charset=utf-8"},
      {{"status.atom"}, "application/atom+xml; charset=utf-8"},
      {{"status.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "status.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "summary.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "components.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "incidents.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "incidents", "unresolved.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "scheduled-maintenances.json"}, "application/json; charset=utf-8"},
      {{"api", "v2", "scheduled-maintenances", "active.json"}, "application/json; charset=utf-8"},
      {{"badge.svg"}, "image/svg+xml"},
      {{"badge", "1kae.svg"}, "image/svg+xml"},
      {{"badge", "1kae", "uptime.svg"}, "image/svg+xml"},
  };
  for (const auto& [path, type] : files) {
    const HttpResponse response = Get(path);
    EXPECT_EQ(response.status, 200) << path.back();
    EXPECT_EQ(response.content_type, type);
    EXPECT_THAT(response.headers, AllOf(Contains(Pair("Access-Control-Allow-Origin", "*")),
                                        Contains(Pair("Cache-Control", "no-cache"))));
  }
  for (const std::vector<std::string>& path :
       {std::vector<std::string>{"badge", "zzz9.svg"}, {"api", "v2", "nothing.json"}}) {
    const HttpResponse response = Get(path);
    EXPECT_EQ(response.status, 404);
    EXPECT_THAT(response.headers, Not(Contains(Pair("Access-Control-Allow-Origin", "*"))));
  }
  for (const auto& [name, file] : web_->files()->by_name) {
    EXPECT_THAT(file->body, Not(HasSubstr("secret"))) << name;
    EXPECT_THAT(file->body, Not(HasSubstr("zzz9"))) << name;
  }
}

TEST_F(WebTest, WhatIsKnownIsNotSentAgain) {
  const HttpResponse first = Get({"status"});
  std::string etag;
  for (const auto& [name, value] : first.headers) {
    if (name == "ETag") etag = value;
  }
  const HttpResponse second = Get({"status"}, absl::StrCat("\"x\", W/", etag));
  EXPECT_EQ(second.status, 304);
  EXPECT_EQ(second.body, "");
}

TEST_F(WebTest, RendersEveryMinuteAndAfterAChange) {
  const uint64_t first = Number();
  clock_.Advance(Web::kRenderEvery);
  EXPECT_TRUE(WaitFor([&] { return Number() == first + 1; }));

  // Changes that come at once are one rendering, after a gap.
  clock_.Advance(Web::kRenderGapMin);
  web_->Changed();
  EXPECT_TRUE(WaitFor([&] { return Number() == first + 2; }));
  for (int i = 0; i < 100; ++i) web_->Changed();
  const uint64_t sleeps = clock_.sleeps();
  EXPECT_TRUE(WaitFor([&] { return clock_.sleeps() > sleeps; }));
  EXPECT_EQ(Number(), first + 2);
  clock_.Advance(Web::kRenderGapMin);
  EXPECT_TRUE(WaitFor([&] { return Number() == first + 3; }));
}

TEST_F(WebTest, AJobIsShownBeforeItIsDone) {
  std::atomic<bool> shown = false;
  std::atomic<bool> done = false;
  const bool taken =
      web_->Run([&] { return store_->Post(AnnouncementState::kInvestigating, "slow", "").ok(); },
                [&] {
                  shown = Get({"updates.html"}).body.find("slow") != std::string::npos;
                  done = true;
                });
  EXPECT_TRUE(taken);
  EXPECT_TRUE(WaitFor([&] { return done.load(); }));
  EXPECT_TRUE(shown);
}

TEST_F(WebTest, JobsAreBounded) {
  Mutex mutex;
  mutex.lock();
  std::atomic<size_t> ran = 0;
  const auto job = [&] {
    MutexLock lock(mutex);
    ++ran;
    return false;
  };
  size_t taken = 0;
  while (taken < 10 * Web::kJobsMax && web_->Run(job, [] {})) ++taken;
  EXPECT_LT(taken, 10 * Web::kJobsMax);
  mutex.unlock();
  EXPECT_TRUE(WaitFor([&] { return ran == taken; }));
}

}  // namespace
}  // namespace fleet::collector
