#include "collector/web/statuspage_json.h"

#include <nlohmann/json.hpp>

#include "collector/web/atom.h"
#include "collector/web/badge.h"
#include "tests/support/matchers.h"
#include "tests/support/status_models.h"

namespace fleet::collector {
namespace {

using ::fleet::test::MakeModel;
using ::fleet::test::PutDown;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const absl::Time kNow = absl::FromUnixSeconds(1'795'452'600);  // 2026-11-23 16:50 UTC

StatusModel DownModel() {
  StatusModel model = MakeModel(kNow);
  model.page.url = "https://status.chitter.xyz";
  PutDown(model, ComponentState::kDown);
  model.components[1].downtime =
      Downtime{"d0", "ljag", "502", kNow - absl::Minutes(12), std::nullopt, std::nullopt, "tempo"};
  return model;
}

TEST(StatuspageJsonTest, TheWholeInOneWord) {
  const json status = json::parse(StatusJson(DownModel()));
  EXPECT_EQ(status["status"], json({{"indicator", "major"}, {"description", "Partial outage"}}));
  EXPECT_EQ(status["page"], json({{"id", "chitterxyz"},
                                  {"name", "chitter.xyz"},
                                  {"url", "https://status.chitter.xyz"},
                                  {"time_zone", "Etc/UTC"},
                                  {"updated_at", "2026-11-23T16:50:00.000Z"},
                                  {"valid_until", "2026-11-23T16:55:00.000Z"}}));
}

TEST(StatuspageJsonTest, ComponentsHaveStatuspagesWords) {
  StatusModel model = DownModel();
  model.components[0].state = ComponentState::kDegraded;
  model.components[2].state = ComponentState::kPartial;
  model.components[3].state = ComponentState::kUnknown;
  model.components[3].reason = "nobody can look at it";
  const json summary = json::parse(SummaryJson(model));
  std::vector<std::string> states;
  for (const json& component : summary["components"]) states.push_back(component["status"]);
  EXPECT_THAT(states, testing::ElementsAre("degraded_performance", "major_outage", "partial_outage",
                                           "degraded_performance"));
  EXPECT_EQ(summary["components"][3]["description"], "not known: nobody can look at it");
  EXPECT_EQ(summary["components"][1]["id"], "ljag");
  EXPECT_EQ(summary["components"][1]["position"], 2);
  EXPECT_EQ(summary["scheduled_maintenances"], json::array());
  ASSERT_EQ(summary["incidents"].size(), 1u) << "only what is not over";
  const json& incident = summary["incidents"][0];
  EXPECT_EQ(incident["status"], "investigating");
  EXPECT_EQ(incident["impact"], "major");
  EXPECT_EQ(incident["resolved_at"], nullptr);
  EXPECT_EQ(incident["started_at"], "2026-11-23T16:38:00.000Z");
  EXPECT_EQ(incident["incident_updates"][0]["body"], "502; cause: tempo");
  EXPECT_EQ(incident["components"][0]["id"], "ljag");
  EXPECT_EQ(incident["shortlink"], "https://status.chitter.xyz#c-ljag");
}

TEST(StatuspageJsonTest, IncidentsAreDowntimesAndAnnouncements) {
  const json all = json::parse(IncidentsJson(DownModel(), false))["incidents"];
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0]["id"], "d0");
  EXPECT_EQ(all[1]["name"], "Media partly down");
  EXPECT_EQ(all[1]["status"], "resolved");
  EXPECT_EQ(all[2]["id"], "4f2a1c");
  EXPECT_EQ(all[2]["name"], "Pictures load slowly. We are looking into it.");
  EXPECT_EQ(all[2]["incident_updates"][0]["body"], "It was a disk; see the notes.");
  EXPECT_EQ(json::parse(IncidentsJson(DownModel(), true))["incidents"].size(), 1u);
}

TEST(StatuspageJsonTest, TakesBytesThatAreNoText) {
  StatusModel model = DownModel();
  model.components[1].downtime->error = "\xff\xfe\"";
  EXPECT_FALSE(json::parse(SummaryJson(model), nullptr, false).is_discarded());
}

TEST(BadgeTest, SaysOfWhichMinuteItIs) {
  const StatusModel model = DownModel();
  EXPECT_THAT(ComponentBadge(model.components[1], model),
              AllOf(HasSubstr("<title>Media: down 16:50 UTC</title>"), HasSubstr("#b31d28")));
  EXPECT_THAT(OverallBadge(model), HasSubstr("chitter.xyz: partial outage 16:50 UTC"));
  EXPECT_THAT(UptimeBadge(model.components[0]), HasSubstr("99.90 % in 90 days"));
}

TEST(BadgeTest, WhatComesFromOutsideIsText) {
  StatusModel model = DownModel();
  model.components[0].name = "<script>alert(1)</script>\"'";
  EXPECT_THAT(ComponentBadge(model.components[0], model), Not(HasSubstr("<script")));
}

TEST(AtomTest, TellsWhatChangedLastFirst) {
  StatusModel model = DownModel();
  const std::string feed = RenderAtom(model);
  EXPECT_THAT(feed,
              AllOf(HasSubstr("<id>tag:status.chitter.xyz,2026:downtime/d0</id>\n<title>Media is "
                              "down</title>"),
                    HasSubstr("<updated>2026-11-23T16:38:00Z</updated>"),
                    HasSubstr("<title>Media was partly down for 60 min</title>"),
                    HasSubstr("href=\"https://status.chitter.xyz#a-4f2a1c\"")));
  model.generated_at += absl::Minutes(1);
  EXPECT_EQ(RenderAtom(model), feed) << "time alone is no news";
}

TEST(AtomTest, AnEmptyFeedIsOne) {
  StatusModel model;
  EXPECT_THAT(RenderAtom(model), AllOf(HasSubstr("<updated>1970-01-01T00:00:00Z"),
                                       HasSubstr("tag:fleet.invalid,2026:status")));
}

}  // namespace
}  // namespace fleet::collector
