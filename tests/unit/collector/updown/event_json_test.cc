#include "collector/updown/event_json.h"

#include <nlohmann/json.hpp>

#include "collector/updown/webhooks.h"
#include "tests/support/fake_probes.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

absl::Time At(const char* text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  return time;
}

class EventJsonTest : public ::testing::Test {
 protected:
  EventJsonTest() {
    event_.view = probes_.Add("1kae", "https://chitter.xyz/api");
    event_.token = "1kae";
    event_.time = At("2026-11-23T16:50:23Z");
  }
  Json Event(const char* kind) {
    event_.kind = kind;
    EXPECT_TRUE(IsWebhookEvent(kind));
    const Json body = Json::parse(WebhookBody(event_, "https://status"));
    EXPECT_TRUE(body.is_array());
    EXPECT_EQ(body.size(), 1);
    EXPECT_EQ(body[0]["event"], kind);
    EXPECT_EQ(body[0]["time"], "2026-11-23T16:50:23Z");
    EXPECT_EQ(body[0]["check"]["token"], "1kae");
    return body[0];
  }
  static probe::ServerCertificate Certificate(const char* to) {
    return {"chitter.xyz",
            "R11",
            "Let's Encrypt",
            "SHA-256 with RSA encryption",
            "",
            At("2026-11-01T00:00:00Z"),
            At(to)};
  }

  test::FakeProbes probes_;
  ProbeEvent event_;
};

TEST_F(EventJsonTest, Down) {
  event_.downtime = Downtime{"66f255685d3c15c3bbe8fd6e",
                             "1kae",
                             "502",
                             At("2026-11-23T16:49:23Z"),
                             std::nullopt,
                             std::nullopt,
                             ""};
  event_.view.status.last_status = 502;
  const Json event = Event("check.down");
  EXPECT_EQ(event["description"],
            "DOWN: https://chitter.xyz/api since 16:49:23 (UTC), reason: 502");
  EXPECT_EQ(event["check"]["down"], true);
  EXPECT_EQ(event["check"]["down_since"], "2026-11-23T16:49:23Z");
  EXPECT_TRUE(event["check"]["up_since"].is_null());
  EXPECT_EQ(event["check"]["error"], "502");
  EXPECT_EQ(event["check"]["last_status"], 502);
  EXPECT_EQ(event["downtime"]["id"], "66f255685d3c15c3bbe8fd6e");
  EXPECT_EQ(event["downtime"]["details_url"], "https://status/downtimes/66f255685d3c15c3bbe8fd6e");
  EXPECT_TRUE(event["downtime"]["ended_at"].is_null());
}

TEST_F(EventJsonTest, UpSaysWhatItWasThenAndNotWhatItIsNow) {
  event_.downtime = Downtime{"66f255685d3c15c3bbe8fd6e",
                             "1kae",
                             "418 I'm a teapot",
                             At("2026-11-23T16:40:23Z"),
                             At("2026-11-23T16:50:08Z"),
                             false,
                             ""};
  event_.view.status.down = true;  // meanwhile it is down again
  event_.view.status.error = "502";
  const Json event = Event("check.up");
  EXPECT_EQ(event["description"],
            "UP: https://chitter.xyz/api since 16:50:08 (UTC), after being down for 10 minutes, "
            "reason: 418 I'm a teapot");
  EXPECT_EQ(event["check"]["down"], false);
  EXPECT_EQ(event["check"]["up_since"], "2026-11-23T16:50:08Z");
  EXPECT_TRUE(event["check"]["error"].is_null());
  EXPECT_EQ(event["downtime"]["duration"], 585);
}

TEST_F(EventJsonTest, Certificates) {
  event_.certificate = Certificate("2027-02-01T00:00:00Z");
  event_.ssl_error = "error code 20: unable to get local issuer certificate";
  Json event = Event("check.ssl_invalid");
  EXPECT_EQ(event["description"],
            "The SSL certificate served by chitter.xyz is not valid (error code 20: unable to get "
            "local issuer certificate)");
  EXPECT_EQ(event["ssl"]["cert"].dump(),
            R"x({"algorithm":"SHA-256 with RSA encryption","from":"2026-11-01T00:00:00Z",)x"
            R"x("issuer":"R11 (Let's Encrypt)","subject":"chitter.xyz",)x"
            R"x("to":"2027-02-01T00:00:00Z"})x");
  EXPECT_EQ(event["ssl"]["error"], "error code 20: unable to get local issuer certificate");
  event = Event("check.ssl_valid");
  EXPECT_EQ(event["description"], "The SSL certificate served by chitter.xyz is now valid");
  EXPECT_FALSE(event["ssl"].contains("error"));
  event_.days_before_expiration = 7;
  event = Event("check.ssl_expiration");
  EXPECT_EQ(event["description"],
            "The SSL certificate served by chitter.xyz will expire in 7 days");
  EXPECT_EQ(event["ssl"]["days_before_expiration"], 7);
  event_.old_certificate = Certificate("2026-11-24T00:00:00Z");
  event = Event("check.ssl_renewed");
  EXPECT_EQ(event["ssl"]["new_cert"]["to"], "2027-02-01T00:00:00Z");
  EXPECT_EQ(event["ssl"]["old_cert"]["to"], "2026-11-24T00:00:00Z");
  EXPECT_FALSE(event["ssl"].contains("cert"));
}

TEST_F(EventJsonTest, PerformanceDrop) {
  event_.apdex_dropped_percent = 47;
  event_.apdex_by_hour = {{At("2026-11-23T15:00:00Z"), 0.975}, {At("2026-11-23T16:00:00Z"), 0.5}};
  const Json event = Event("check.performance_drop");
  EXPECT_EQ(event["description"], "Apdex of https://chitter.xyz/api dropped 47%");
  EXPECT_EQ(event["apdex_dropped"], "47%");
  EXPECT_EQ(event["last_metrics"]["2026-11-23T15:00:00Z"]["apdex"], 0.975);
}

TEST_F(EventJsonTest, OurOwnKindsAreNotSentAndADeletedCheckStillHasItsToken) {
  EXPECT_FALSE(IsWebhookEvent("check.still_down"));
  EXPECT_FALSE(IsWebhookEvent("check.notice"));
  event_.view.check = nullptr;
  event_.kind = "check.ssl_valid";
  EXPECT_EQ(Json::parse(WebhookBody(event_, ""))[0]["check"], Json({{"token", "1kae"}}));
  EXPECT_THAT(ChatBody(event_), HasSubstr("{\"text\":\"The SSL certificate"));
}

TEST(RetryDelayTest, GrowsOverDays) {
  absl::Duration all;
  absl::Duration last;
  for (int attempt = 1; attempt < Webhooks::kAttemptsMax; ++attempt) {
    const absl::Duration delay = RetryDelay(attempt, Webhooks::kRetryFirst);
    EXPECT_GE(delay, last);
    EXPECT_LE(delay, Webhooks::kRetryMax);
    last = delay;
    all += delay;
  }
  EXPECT_EQ(RetryDelay(1, Webhooks::kRetryFirst), absl::Seconds(15));
  EXPECT_GT(all, absl::Hours(48));
}

}  // namespace
}  // namespace fleet::collector
