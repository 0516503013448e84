// A static status page of another origin that reads the API, in Debian's Chromium: what it asks and
// how it judges is what status.chitter.xyz does, so the browser's own rules of CORS are tested.
#include "absl/strings/str_replace.h"
#include "tests/support/browser.h"
#include "tests/support/updown_rig.h"

namespace fleet::test {
namespace {

/// The requests and the verdict of site/main.js: `down`, else `apdex < 0.8`, never a look at the
/// status; when a fetch is rejected, what stood there stays. One round; `done` tells of its end.
constexpr char kPage[] = R"html(<!doctype html><title>status</title><p id="overall">...</p><script>
const state = {};
const refresh = () => {
  const all = ['1kae', 'ljag'].map(t => state[t]);
  let text = '...';
  if (all.every(s => s === 'ok')) text = 'No issues';
  else if (all.some(s => s === 'down')) text = 'Major disruption';
  else if (all.some(s => s === 'slow')) text = 'Minor disruption';
  document.querySelector('#overall').textContent = text;
};
const get = async path => {
  const headers = {'x-api-key': '$KEY'};
  return (await fetch('$API/api/checks/' + path, {headers})).json();
};
const hour = new Date(); hour.setMinutes(0, 0, 0);
Promise.all(['1kae', 'ljag'].map(async token => {
  try {
    const check = await get(token);
    const metrics = await get(token + '/metrics?from=' + encodeURIComponent(hour.toISOString()));
    state[token] = check.down ? 'down' : metrics.apdex < 0.8 ? 'slow' : 'ok';
    refresh();
  } catch (error) { window.rejected = String(error); }
})).then(() => { window.done = true; });
</script>)html";

class UpdownPageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = Browser::Missing(); !missing.empty()) GTEST_SKIP() << missing;
    rig_.probes.Add("1kae", "https://chitter.xyz/");
    rig_.probes.Add("ljag", "https://media.chitter.xyz/");
    SetApdex(10);
    collector::HttpServer::Options options;
    options.listen = {"127.0.0.1", 0};
    auto server = collector::HttpServer::Start(
        std::move(options),
        [this](const collector::HttpRequest& request) {
          collector::HttpResponse response;
          response.content_type = "text/html; charset=utf-8";
          response.body = absl::StrReplaceAll(
              kPage, {{"$API", rig_.url("")}, {"$KEY", std::string(request.argument("key"))}});
          return response;
        },
        Clock::Real());
    ASSERT_THAT(server, IsOk());
    page_ = *std::move(server);
    browser_ = std::make_unique<Browser>(Browser::Options{});
    // Like updown's, answers may be kept for half a minute; this test does not wait for that.
    browser_->DevTools("Network.enable", nlohmann::json::object());
    browser_->DevTools("Network.setCacheDisabled", {{"cacheDisabled", true}});
  }
  /// Of ten requests so many are quick.
  void SetApdex(int64_t quick) {
    collector::ProbeMetrics metrics;
    metrics.samples = 10;
    metrics.under.fill(quick);
    for (const auto group : {collector::MetricsGroup::kNone, collector::MetricsGroup::kTime}) {
      rig_.probes.metrics[group][group == collector::MetricsGroup::kNone ? "" : "2023"] = metrics;
    }
  }
  /// What a visitor reads.
  std::string Overall(absl::string_view key = UpdownRig::kReadKey) {
    browser_->Open(absl::StrCat("http://localhost:", page_->address().port, "/?key=", key));
    EXPECT_TRUE(WaitFor([this] { return browser_->Run("return window.done === true") == true; }));
    rejected_ = browser_->Run("return window.rejected || ''").get<std::string>();
    return browser_->Text("#overall");
  }

  UpdownRig rig_;
  std::unique_ptr<collector::HttpServer> page_;
  std::unique_ptr<Browser> browser_;
  std::string rejected_;
};

TEST_F(UpdownPageTest, ReadsTheApiOfAnotherOriginAndNeverTakesAnErrorForGood) {
  EXPECT_EQ(Overall(), "No issues") << rejected_;
  SetApdex(7);
  EXPECT_EQ(Overall(), "Minor disruption") << rejected_;
  rig_.probes.views[1].status.down = true;
  EXPECT_EQ(Overall(), "Major disruption") << rejected_;
  EXPECT_EQ(rejected_, "");
  EXPECT_EQ(Overall("ro-wrong"), "...") << "a 401 must not read as no issues";
  EXPECT_NE(rejected_, "") << "the browser hides the error from the page";
  SetApdex(10);
  rig_.probes.views.pop_back();
  EXPECT_EQ(Overall(), "...") << "nor must a check that is gone";
}

}  // namespace
}  // namespace fleet::test
