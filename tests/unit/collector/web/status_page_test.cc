#include "collector/web/status_page.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/support/matchers.h"
#include "tests/support/status_models.h"

namespace fleet::collector {
namespace {

using ::fleet::test::MakeModel;
using ::fleet::test::PutDown;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'795'452'600);  // 2026-11-23 16:50 UTC

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

/// The document without its style and script.
std::string Body(const StatusModel& model) {
  return absl::StrReplaceAll(RenderStatusPage(model),
                             {{kStatusPageStyle, ""}, {kStatusPageScript, ""}});
}

TEST(StatusPageTest, SaysBesideEveryVerdictHowLongItHolds) {
  StatusModel model = MakeModel(kNow);
  PutDown(model, ComponentState::kDown);
  const std::string html = Body(model);
  const size_t verdicts = Count(html, " data-verdict>");
  EXPECT_EQ(verdicts, 1 + model.components.size());
  // And once more where the downtime is listed.
  EXPECT_EQ(Count(html, "as of 16:50 UTC, void after 16:55"), verdicts + 1);
  EXPECT_THAT(html, HasSubstr("(23 November 2026)"));
  EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(html), " now")) << html;
  EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(html), "currently"));
  EXPECT_FALSE(absl::StrContains(absl::AsciiStrToLower(html), "today"));
}

TEST(StatusPageTest, TellsADowntimeWithItsCause) {
  StatusModel model = MakeModel(kNow);
  PutDown(model, ComponentState::kDown);
  const std::string html = Body(model);
  EXPECT_THAT(html, AllOf(HasSubstr("<strong>Media</strong> has been down since"),
                          HasSubstr("for 12 min"), HasSubstr("502 Bad Gateway from upstream"),
                          HasSubstr("Cause: <code>tempo/tinc/parasect</code>"),
                          HasSubstr(">Partial outage<"), HasSubstr("was partly down for 60 min"),
                          HasSubstr("was down for 95 min")));
}

TEST(StatusPageTest, WhatComesFromOutsideIsText) {
  const std::string evil = "</title></script><script>alert(1)</script><img src=x onerror=\"a\">'\"";
  StatusModel model = MakeModel(kNow);
  PutDown(model, ComponentState::kDown);
  model.page.title = model.page.description = model.problem = evil;
  for (Component& component : model.components) {
    component.name = component.reason = component.caused_by = evil;
  }
  for (ShownDowntime& shown : model.past) {
    shown.name = shown.downtime.error = shown.downtime.caused_by = evil;
  }
  for (Announcement& announcement : model.announcements) {
    for (AnnouncementUpdate& update : announcement.updates) update.text = evil;
  }
  const std::string html = RenderStatusPage(model);
  EXPECT_EQ(Count(html, "<script"), 1);
  EXPECT_EQ(Count(html, "</script"), 1);
  EXPECT_EQ(Count(html, "<img"), 0);
  EXPECT_EQ(Count(html, "</title></script>"), 0);
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)"));
}

TEST(StatusPageTest, AsksNobodyElse) {
  const std::string html = RenderStatusPage(MakeModel(kNow));
  // Only what an admin links to, and the addresses in texts.
  for (const absl::string_view part : absl::StrSplit(html, "src=")) {
    if (part.data() == html.data()) continue;
    EXPECT_TRUE(false) << part.substr(0, 50);
  }
  EXPECT_THAT(html, Not(HasSubstr("url(")));
  EXPECT_THAT(html, Not(HasSubstr("@import")));
  EXPECT_THAT(html, Not(HasSubstr("style=\"")));
  EXPECT_THAT(html, HasSubstr(std::string(StatusPagePolicy())));
  EXPECT_THAT(
      std::string(StatusPagePolicy()),
      AllOf(HasSubstr("default-src 'none'"), Not(HasSubstr("unsafe")), Not(HasSubstr("*"))));
}

TEST(StatusPageTest, AnEmptyPageSaysSo) {
  StatusModel model;
  model.generated_at = kNow;
  model.valid_until = kNow + absl::Minutes(5);
  EXPECT_THAT(Body(model),
              AllOf(HasSubstr("Nothing is monitored here yet"), Not(HasSubstr("Past downtimes"))));
}

TEST(StatusPageTest, SaysTimesInItsZone) {
  StatusModel model = MakeModel(kNow);
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Paris", &model.page.zone));
  EXPECT_THAT(Body(model), HasSubstr("as of 17:50 CET, void after 17:55"));
}

}  // namespace
}  // namespace fleet::collector
