// Heartbeats in, as the tools of others send them, and out, to a real receiver.
#include "collector/updown/pulses_in.h"
#include "collector/updown/pulses_out.h"
#include "tests/support/hook_receiver.h"
#include "tests/support/updown_rig.h"

namespace fleet::test {
namespace {

using collector::PulseOptions;
using collector::PulseShape;
using collector::PulsesOut;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

class PulsesInTest : public ::testing::Test {
 protected:
  PulsesInTest() {
    collector::ProbeView& view = rig_.probes.Add("bkup", "");
    collector::ProbeCheck& check = FakeProbes::Definition(view);
    check.type = "pulse";
    check.name = "backup";
    check.pulse_key = "s3cr3t99";
    rig_.probes.Add("1kae", "https://chitter.xyz");
    rig_.AddRoutes(pulses_.MakeRoutes());
  }
  std::vector<std::string> Taken() { return std::exchange(rig_.probes.pulses, {}); }

  UpdownRig rig_;
  std::vector<std::string> refused_;
  collector::PulsesIn pulses_{rig_.probes,
                              [this](const std::string& peer) { refused_.push_back(peer); }};
};

TEST_F(PulsesInTest, AsUpdownTakesThem) {
  for (const char* method : {"GET", "HEAD", "POST"}) {
    const HttpReply reply = HttpGet(rig_.port(), "/pulse/bkup/s3cr3t99", {}, method);
    EXPECT_EQ(reply.status, 200);
    if (method != std::string("HEAD")) {
      EXPECT_THAT(reply.body, MatchesRegex("OK: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
                                           "[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    }
    EXPECT_THAT(Taken(), ElementsAre("bkup ok "));
  }
  HttpSend(rig_.port(), "POST", "/pulse/bkup/s3cr3t99/", "backed up 3\nfiles");
  EXPECT_THAT(Taken(), ElementsAre("bkup ok backed up 3 files"));
}

TEST_F(PulsesInTest, AsHealthchecksTakesThem) {
  EXPECT_THAT(HttpGet(rig_.port(), "/pulse/bkup/s3cr3t99/start").body, HasSubstr("OK"));
  EXPECT_THAT(Taken(), IsEmpty()) << "a start is no sign of life";
  HttpGet(rig_.port(), "/pulse/bkup/s3cr3t99/0");
  HttpGet(rig_.port(), "/pulse/bkup/s3cr3t99/3");
  HttpSend(rig_.port(), "POST", "/pulse/bkup/s3cr3t99/fail", "disk full");
  EXPECT_THAT(Taken(), ElementsAre("bkup ok ", "bkup failed exit code 3", "bkup failed disk full"));
  EXPECT_EQ(HttpGet(rig_.port(), "/pulse/bkup/s3cr3t99/256").status, 404);
  EXPECT_EQ(HttpGet(rig_.port(), "/pulse/bkup/wrong/start").status, 404);
}

TEST_F(PulsesInTest, AsUptimeKumaTakesThem) {
  EXPECT_EQ(HttpGet(rig_.port(), "/api/push/s3cr3t99?status=up&msg=OK&ping=12").body,
            R"({"ok":true})");
  HttpGet(rig_.port(), "/api/push/s3cr3t99?status=down&msg=broken");
  HttpGet(rig_.port(), "/api/push/s3cr3t99");
  EXPECT_THAT(Taken(), ElementsAre("bkup ok OK", "bkup failed broken", "bkup ok "));
  const HttpReply reply = HttpGet(rig_.port(), "/api/push/nonsense");
  EXPECT_EQ(reply.status, 404);
  EXPECT_THAT(reply.body, HasSubstr("\"ok\":false"));
}

TEST_F(PulsesInTest, AsGatusTakesThem) {
  const HttpHeaders bearer = {{"Authorization", "Bearer s3cr3t99"}};
  for (const char* name : {"bkup", "backup", "core_backup"}) {
    EXPECT_EQ(
        HttpSend(rig_.port(), "POST",
                 absl::StrCat("/api/v1/endpoints/", name, "/external?success=true"), "", bearer)
            .status,
        200);
  }
  HttpSend(rig_.port(), "POST",
           "/api/v1/endpoints/core_backup/external?success=false&error=no%20disk&duration=10s", "",
           bearer);
  EXPECT_THAT(Taken(), ElementsAre("bkup ok ", "bkup ok ", "bkup ok ", "bkup failed no disk"));
  EXPECT_EQ(
      HttpSend(rig_.port(), "POST", "/api/v1/endpoints/backup/external?success=true", "").status,
      404);
}

TEST_F(PulsesInTest, AWrongKeyIsNotFoundWhateverIsWrong) {
  const std::string wrong = HttpGet(rig_.port(), "/pulse/bkup/wrong").body;
  EXPECT_EQ(HttpGet(rig_.port(), "/pulse/none/s3cr3t99").body, wrong) << "no hint which";
  EXPECT_EQ(HttpGet(rig_.port(), "/pulse/1kae/").status, 404);
  EXPECT_EQ(HttpGet(rig_.port(), "/pulse/bkup/%20").status, 404);
  EXPECT_THAT(Taken(), IsEmpty());
  EXPECT_THAT(refused_, Contains("127.0.0.1").Times(3));
}

TEST(PulseRequestTest, EachShapeHasItsWay) {
  PulseOptions options;
  options.url = "https://x/p/1";
  const absl::Status bad = absl::UnavailableError("the disk & all");
  EXPECT_EQ(PulseRequest(options, absl::OkStatus())->url, "https://x/p/1");
  EXPECT_FALSE(PulseRequest(options, bad).has_value());
  options.shape = PulseShape::kHealthchecks;
  EXPECT_EQ(PulseRequest(options, absl::OkStatus())->url, "https://x/p/1");
  EXPECT_EQ(PulseRequest(options, bad)->url, "https://x/p/1/fail");
  options.shape = PulseShape::kKuma;
  options.url = "https://x/api/push/k?status=up&msg=OK&ping=";
  EXPECT_EQ(PulseRequest(options, absl::OkStatus())->url, "https://x/api/push/k?msg=OK&status=up");
  EXPECT_EQ(PulseRequest(options, bad)->url,
            "https://x/api/push/k?msg=the%20disk%20%26%20all&status=down");
  options.shape = PulseShape::kGatus;
  options.url = "https://x/api/v1/endpoints/a_b/external";
  options.bearer_token = "t";
  EXPECT_EQ(PulseRequest(options, bad)->url,
            "https://x/api/v1/endpoints/a_b/external?error=the%20disk%20%26%20all&success=false");
  EXPECT_EQ(PulseRequest(options, bad)->headers[0].second, "Bearer t");
}

TEST(PulsesOutTest, PingsWhileItIsWellAndCounts) {
  HookReceiver receiver;
  receiver.Set({{"/broken", {{"code", 500}}}});
  std::atomic<bool> well = true;
  std::vector<PulseOptions> options(3);
  for (size_t i = 0; i < options.size(); ++i) {
    options[i].name = options[i].url = receiver.url(i == 0 ? "/a" : i == 1 ? "/hc" : "/broken");
    options[i].interval = absl::Milliseconds(100);
  }
  options[1].shape = PulseShape::kHealthchecks;
  PulsesOut pulses(
      options,
      [&well] { return well ? absl::OkStatus() : absl::UnavailableError("the disk refuses"); },
      Clock::Real());
  EXPECT_TRUE(WaitFor(
      [&] { return receiver.Requests("/a").size() >= 2 && receiver.Requests("/hc").size() >= 2; }));
  EXPECT_TRUE(WaitFor([&] { return pulses.counts()[2].failed >= 2; }));
  EXPECT_GE(pulses.counts()[0].sent, 1);
  EXPECT_EQ(pulses.counts()[0].failed, 0);
  well = false;
  EXPECT_TRUE(WaitFor([&] { return receiver.Requests("/hc/fail").size() >= 2; }));
  const size_t pings = receiver.Requests("/a").size();
  EXPECT_TRUE(WaitFor([&] { return pulses.counts()[0].held >= 4; }));
  EXPECT_EQ(receiver.Requests("/a").size(), pings) << "silence is the message";
}

}  // namespace
}  // namespace fleet::test
