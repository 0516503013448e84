// The status page as people see it: in Debian's Chromium, on a phone and on a desk, in light and in
// dark, with and without JavaScript, fresh and stale. FLEET_SCREENSHOTS=DIR keeps the pictures.
#include "collector/web/status_page.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "collector/http/http_server.h"
#include "collector/web/badge.h"
#include "collector/web/render.h"
#include "common/mutex.h"
#include "tests/support/browser.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/status_models.h"

namespace fleet::collector {
namespace {

using ::fleet::test::Browser;
using ::fleet::test::IsOk;
using ::fleet::test::MakeModel;
using ::fleet::test::PutDown;
using ::fleet::test::WaitFor;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// Texts whose contrast to what lies behind them is below what WCAG AA asks.
constexpr absl::string_view kPaleTexts = R"js(
  const parse = c => c.match(/[\d.]+/g).map(Number);
  const light = c => {
    const [r, g, b] = c.map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.getClientRects().length || e.closest('svg')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(ground(e))];
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) pale.push(walker.currentNode.data.trim() + ' ' + contrast.toFixed(2));
  }
  return pale;
)js";

class StatusPageBrowserTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = Browser::Missing(); !missing.empty()) GTEST_SKIP() << missing;
    HttpServer::Options options;
    options.listen = {"127.0.0.1", 0};
    auto server = HttpServer::Start(
        std::move(options), [this](const HttpRequest& request) { return Answer(request); },
        Clock::Real());
    ASSERT_THAT(server, IsOk());
    server_ = *std::move(server);
    base_ = absl::StrCat("http://", server_->address().ToString());
  }

  HttpResponse Answer(const HttpRequest& request) {
    MutexLock lock(mutex_);
    HttpResponse response;
    response.status = broken_                                               ? 500
                      : request.path.empty() || request.path[0] != "status" ? 404
                                                                            : 200;
    if (response.status == 200) response.body = html_;
    response.content_type = "text/html; charset=utf-8";
    if (absl::StartsWith(response.body, "<!doctype")) {
      response.headers = {{"Content-Security-Policy", std::string(StatusPagePolicy())}};
    }
    return response;
  }
  void Serve(const StatusModel& model) {
    // As fast as a test wants it.
    Serve(absl::StrReplaceAll(RenderStatusPage(model),
                              {{"<html lang=\"en\"", "<html lang=\"en\" data-refresh=\"200\""}}));
  }
  void Serve(const std::string& html) {
    MutexLock lock(mutex_);
    broken_ = false;
    html_ = html;
  }
  void Break() {
    MutexLock lock(mutex_);
    broken_ = true;
  }

  /// Looks at the page as a person would, and keeps a picture.
  void Inspect(Browser& browser, const std::string& name) {
    SCOPED_TRACE(name);
    EXPECT_EQ(browser.Run("return document.documentElement.scrollWidth - innerWidth;"), 0)
        << "it scrolls sideways";
    EXPECT_EQ(browser.Run(kPaleTexts), nlohmann::json::array());
    EXPECT_THAT(browser.Complaints(), IsEmpty());
    EXPECT_THAT(browser.Requested(), Each(StartsWith(base_ + "/status")));
    if (const char* directory = std::getenv("FLEET_SCREENSHOTS"); directory != nullptr) {
      std::filesystem::create_directories(directory);
      browser.Screenshot(absl::StrCat(directory, "/", name, ".png"));
    }
  }

  Mutex mutex_;
  std::string html_ ABSL_GUARDED_BY(mutex_);
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  std::string base_;
  std::unique_ptr<HttpServer> server_;
};

StatusModel ModelOf(absl::string_view kind, absl::Time now) {
  StatusModel model = MakeModel(now);
  if (kind == "down") PutDown(model, ComponentState::kDown);
  if (kind == "partial") PutDown(model, ComponentState::kPartial);
  if (kind == "mixed") {
    model.components[0].state = ComponentState::kDegraded;
    model.components[1].state = ComponentState::kMaintenance;
    model.components[2].state = ComponentState::kUnknown;
    model.components[2].reason = "nobody can look at it";
    Announcement open{"abcdef",
                      {{now - absl::Minutes(30), AnnouncementState::kIdentified,
                        "A disk is being rebuilt:\n\n- uploads are **slow**\n- nothing is lost\n\n"
                        "`mdadm --detail /dev/md0` says so. <script>alert(1)</script>",
                        "rado"}}};
    model.announcements.insert(model.announcements.begin(), open);
  }
  return model;
}

TEST_F(StatusPageBrowserTest, IsReadableEverywhere) {
  for (const bool phone : {true, false}) {
    for (const bool dark : {false, true}) {
      Browser browser({.width = phone ? 375 : 1100, .height = 812, .dark = dark});
      for (const std::string kind : {"ok", "down", "partial", "mixed"}) {
        Serve(ModelOf(kind, absl::Now()));
        browser.Open(base_ + "/status");
        EXPECT_THAT(browser.Text(".age"), StartsWith("Last updated "));
        EXPECT_EQ(browser.Text(".asof"), "") << "with JavaScript there is something better";
        Inspect(browser, absl::StrCat(phone ? "phone-" : "desk-", dark ? "dark-" : "light-", kind));
      }
      Serve(ModelOf("ok", absl::Now() - absl::Minutes(20)));
      browser.Open(base_ + "/status");
      EXPECT_EQ(browser.Text(".overall h2"), "No news from the monitor");
      EXPECT_EQ(browser.Text(".components .verdict"), "no news");
      EXPECT_THAT(browser.Text(".age"), HasSubstr("20 min ago"));
      Inspect(browser,
              absl::StrCat(phone ? "phone-" : "desk-", dark ? "dark-" : "light-", "stale"));
    }
  }
}

TEST_F(StatusPageBrowserTest, WithoutJavaScriptEveryVerdictHasItsEnd) {
  const absl::Time now = absl::Now() - absl::Hours(1);
  for (const bool phone : {true, false}) {
    Browser browser({.width = phone ? 375 : 1100, .height = 812, .javascript = false});
    Serve(ModelOf("down", now));
    browser.Open(base_ + "/status");
    const std::string as_of = absl::StrCat(
        "as of ", absl::FormatTime("%H:%M UTC", now, absl::UTCTimeZone()), ", void after ",
        absl::FormatTime("%H:%M", now + absl::Minutes(5), absl::UTCTimeZone()));
    EXPECT_THAT(browser.Text(".overall .asof"), HasSubstr(as_of));
    EXPECT_EQ(browser.Text(".components .asof"), as_of);
    EXPECT_EQ(browser.Text(".age"), "");
    Inspect(browser, phone ? "phone-light-nojs" : "desk-light-nojs");
  }
}

TEST_F(StatusPageBrowserTest, RefreshesItselfAndNeverShowsOldGreen) {
  Browser browser({});
  StatusModel model = ModelOf("ok", absl::Now());
  Serve(model);
  browser.Open(base_ + "/status");
  EXPECT_EQ(browser.Text(".overall h2"), "All systems operational");

  model = ModelOf("down", absl::Now() + absl::Seconds(1));
  model.valid_until = model.generated_at + absl::Seconds(3);
  Serve(model);
  EXPECT_TRUE(WaitFor([&] { return browser.Text(".overall h2") == "Partial outage"; }));
  EXPECT_EQ(browser.Text("#c-ljag .verdict"), "down");
  EXPECT_THAT(browser.Complaints(), IsEmpty());

  Break();
  EXPECT_TRUE(WaitFor([&] { return browser.Text(".overall h2") == "No news from the monitor"; }));
  EXPECT_EQ(browser.Text("#c-ljag .verdict"), "no news");
  EXPECT_EQ(browser.Run("return document.querySelectorAll('.ok[data-verdict]').length"), 0);

  // An older copy of another edge is no news either.
  Serve(ModelOf("ok", absl::Now() - absl::Minutes(2)));
  EXPECT_EQ(browser.Text(".overall h2"), "No news from the monitor");
  Serve(ModelOf("ok", absl::Now() + absl::Seconds(2)));
  EXPECT_TRUE(WaitFor([&] { return browser.Text(".overall h2") == "All systems operational"; }));
  EXPECT_THAT(browser.Text(".age"), StartsWith("Last updated "));
}

TEST_F(StatusPageBrowserTest, AgesByTheServersClock) {
  Browser browser({});
  Serve(ModelOf("ok", absl::Now()));
  // A reader whose clock is an hour ahead, and one whose clock is an hour behind.
  for (const int hours : {1, -1}) {
    const nlohmann::json added = browser.DevTools(
        "Page.addScriptToEvaluateOnNewDocument",
        {{"source",
          absl::StrCat("{const now = Date.now; Date.now = () => now() + ", hours, " * 3600e3;}")}});
    Serve(ModelOf("ok", absl::Now()));
    browser.Open(base_ + "/status");
    EXPECT_TRUE(WaitFor([&] { return browser.Text(".overall h2") == "All systems operational"; }));
    EXPECT_THAT(browser.Text(".age"), HasSubstr(" s ago"));
    Serve(ModelOf("ok", absl::Now() - absl::Minutes(10)));
    browser.Open(base_ + "/status");
    EXPECT_TRUE(WaitFor([&] { return browser.Text(".overall h2") == "No news from the monitor"; }));
    browser.DevTools("Page.removeScriptToEvaluateOnNewDocument",
                     {{"identifier", added.value("identifier", "")}});
  }
}

TEST_F(StatusPageBrowserTest, WhatOthersWroteDoesNothing) {
  Browser browser({});
  const std::string evil =
      "</script><script>document.title='owned'</script><img src=x "
      "onerror=\"document.title='owned'\">"
      "<svg onload=document.title='owned'><a href=\"javascript:document.title='owned'\">x</a>";
  StatusModel model = ModelOf("mixed", absl::Now());
  for (Component& component : model.components) component.name = component.reason = evil;
  for (ShownDowntime& shown : model.past) shown.downtime.error = evil;
  for (Announcement& announcement : model.announcements) {
    for (AnnouncementUpdate& update : announcement.updates) {
      update.text =
          absl::StrCat(evil, "\n\n[x](javascript:document.title='owned') ![x](http://x/)");
    }
  }
  Serve(model);
  browser.Open(base_ + "/status");
  Inspect(browser, "evil");
  EXPECT_EQ(browser.Run("return document.title"), "chitter.xyz");
  EXPECT_EQ(
      browser.Run("return document.querySelectorAll('#page script, #page img, "
                  "#page svg:not(.bars):not(.response svg), a[href^=\"javascript\"]').length"),
      0);
}

TEST_F(StatusPageBrowserTest, FeedAndPicturesAreWhatTheySayTheyAre) {
  Browser browser({.width = 500, .height = 120});
  StatusModel model = ModelOf("down", absl::Now());
  model.components[0].name = "a < b & \"c\" \xE2\x80\x94 d";
  test::TempDir dir;
  // A parser of XML judges them: an error of it would be the document.
  for (const auto& [name, file] : RenderFiles(model).by_name) {
    if (!absl::EndsWith(name, ".svg") && !absl::EndsWith(name, ".atom")) continue;
    SCOPED_TRACE(name);
    Serve(file->body);
    browser.Open(base_ + "/status");
    const std::string root = browser
                                 .Run(absl::StrCat("return fetch('/status').then(r => r.text())"
                                                   ".then(t => new DOMParser().parseFromString(t, "
                                                   "'text/xml').querySelector('parsererror') ? "
                                                   "'broken' : 'fine')"))
                                 .get<std::string>();
    EXPECT_EQ(root, "fine") << file->body;
  }
  Serve(absl::StrCat("<body>", OverallBadge(model), "<br>",
                     ComponentBadge(model.components[1], model), "<br>",
                     UptimeBadge(model.components[1])));
  browser.Open(base_ + "/status");
  if (const char* directory = std::getenv("FLEET_SCREENSHOTS"); directory != nullptr) {
    browser.Screenshot(absl::StrCat(directory, "/badges.png"));
  }
}

}  // namespace
}  // namespace fleet::collector
