// Webhooks to a real receiver that is slow, gone or choosy, and a sender that is killed.
#include "collector/updown/webhooks.h"

#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "collector/updown/event_json.h"
#include "tests/support/fake_probes.h"
#include "tests/support/hook_receiver.h"
#include "tests/support/matchers.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HookReceiver;
using ::fleet::test::IsOk;
using ::fleet::test::WaitFor;
using Json = nlohmann::json;

class WebhooksTest : public ::testing::Test {
 protected:
  WebhooksTest() { view_ = probes_.Add("1kae", "https://chitter.xyz"); }
  ~WebhooksTest() override { webhooks_.reset(); }

  void Open(const std::vector<std::string>& paths) {
    std::vector<Recipient> configured;
    for (const std::string& path : paths) {
      configured.push_back(ConfiguredWebhook("webhook", path, receiver_.url(path)));
    }
    auto store = WebhookStore::Open(dir_ / "webhooks.db");
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
    auto recipients = UpdownStore::Open(dir_ / "updown.db", configured);
    ASSERT_THAT(recipients, IsOk());
    recipients_ = *std::move(recipients);
  }
  void Send() {
    Webhooks::Parts parts{probes_, *recipients_, *store_, Clock::Real()};
    parts.retry_first = absl::Milliseconds(20);
    parts.base_url = "https://status";
    parts.guard = guard_;
    webhooks_ = std::make_unique<Webhooks>(std::move(parts));
  }
  /// Begins with what happens from now on, as a first start does.
  void ServeFromHere() {
    for (const Recipient& recipient : recipients_->Recipients()) {
      ASSERT_THAT(store_->Save(recipient.id, {}), IsOk());
    }
  }
  void AddEvent(const std::string& kind = "check.down") {
    ProbeEvent event;
    event.id = static_cast<int64_t>(probes_.events.size()) + 1;
    event.kind = kind;
    event.time = absl::FromUnixSeconds(1'700'000'000 + event.id);
    event.token = "1kae";
    event.view = view_;
    event.downtime = Downtime{
        "66f255685d3c15c3bbe8fd6e", "1kae", "502", event.time, std::nullopt, std::nullopt, ""};
    probes_.events.push_back(event);
  }
  size_t Taken(absl::string_view path) { return receiver_.Events(path).size(); }

  test::TempDir dir_;
  HookReceiver receiver_;
  test::FakeProbes probes_;
  ProbeView view_;
  std::function<std::string(const std::string&, int)> guard_;
  std::unique_ptr<UpdownStore> recipients_;
  std::unique_ptr<WebhookStore> store_;
  std::unique_ptr<Webhooks> webhooks_;
};

TEST_F(WebhooksTest, TellsEachEventOnceAlsoAfterARestart) {
  Open({"/a"});
  ServeFromHere();
  for (const char* kind : {"check.down", "check.still_down", "check.up", "check.notice"}) {
    AddEvent(kind);
  }
  Send();
  ASSERT_TRUE(WaitFor([this] { return Taken("/a") == 2; }));
  webhooks_.reset();
  AddEvent("check.ssl_valid");
  Open({"/a"});
  Send();
  ASSERT_TRUE(WaitFor([this] { return Taken("/a") == 3; }));
  webhooks_.reset();
  const std::vector<Json> requests = receiver_.Requests("/a");
  ASSERT_EQ(requests.size(), 3) << "nothing twice";
  EXPECT_EQ(requests[0]["agent"], "updown.io webhooks");
  EXPECT_EQ(requests[0]["type"], "application/json");
  EXPECT_EQ(requests[0]["method"], "POST");
  EXPECT_EQ(receiver_.Events("/a")[1]["event"], "check.up");
  EXPECT_EQ(receiver_.Events("/a")[2]["event"], "check.ssl_valid");
}

TEST_F(WebhooksTest, ANewRecipientHearsNothingOfThePast) {
  AddEvent();
  AddEvent();
  Open({"/a"});
  Send();
  const std::string id = recipients_->Recipients()[0].id;
  ASSERT_TRUE(WaitFor([&] {
    const auto place = store_->Find(id);
    return place.ok() && place->has_value() && (*place)->event == 2;
  }));
  webhooks_.reset();
  AddEvent("check.up");
  Send();
  ASSERT_TRUE(WaitFor([this] { return Taken("/a") == 1; }));
  EXPECT_EQ(receiver_.Events("/a")[0]["event"], "check.up");
}

TEST_F(WebhooksTest, RetriesInOrderWhileTheReceiverIsAway) {
  Open({"/a"});
  ServeFromHere();
  receiver_.Set({{"/a", {{"code", 503}}}});
  for (int i = 0; i < 5; ++i) AddEvent();
  Send();
  ASSERT_TRUE(WaitFor([this] { return webhooks_->counts().failed >= 3; }));
  for (const Json& request : receiver_.Requests("/a")) {
    const Json event = Json::parse(std::string(request["body"]))[0];
    EXPECT_EQ(event["time"], "2023-11-14T22:13:21Z") << "the first; the others wait";
  }
  receiver_.Set(Json::object());
  ASSERT_TRUE(WaitFor([this] { return Taken("/a") == 5; }));
  std::string last;
  for (const Json& event : receiver_.Events("/a")) {
    EXPECT_LT(last, std::string(event["time"]));
    last = event["time"];
  }
}

TEST_F(WebhooksTest, OneThatIsRefusedDoesNotHoldUpTheNext) {
  Open({"/a"});
  ServeFromHere();
  AddEvent("check.ssl_valid");
  AddEvent("check.up");
  receiver_.Set({{"/a", {{"refuse", {"ssl_valid"}}}}});
  Send();
  ASSERT_TRUE(WaitFor([this] { return Taken("/a") == 1; }));
  EXPECT_EQ(receiver_.Events("/a")[0]["event"], "check.up");
  receiver_.Set(Json::object());
  ASSERT_TRUE(WaitFor([this] { return Taken("/a") == 2; })) << "and is tried again";
}

TEST_F(WebhooksTest, GivesUpAfterItsAttemptsAndSaysSo) {
  Open({"/a"});
  ServeFromHere();
  AddEvent();
  receiver_.Set({{"/a", {{"code", 404}}}});
  const std::string id = recipients_->Recipients()[0].id;
  ASSERT_THAT(store_->ParkAndSave(id, {1, Webhooks::kAttemptsMax - 2, absl::UnixEpoch()}, {1}),
              IsOk());
  Send();
  ASSERT_TRUE(WaitFor([this] { return webhooks_->counts().failed >= 1; }));
  // Its next try would be hours away.
  webhooks_.reset();
  ASSERT_THAT(store_->Park(id, {1, Webhooks::kAttemptsMax - 1, absl::UnixEpoch()}), IsOk());
  Send();
  ASSERT_TRUE(WaitFor([this] { return webhooks_->counts().given_up == 1; }));
  EXPECT_TRUE(WaitFor([&] { return store_->Parked(id)->empty(); }));
}

TEST_F(WebhooksTest, ASlowReceiverDelaysNobodyElse) {
  Open({"/slow", "/a"});
  ServeFromHere();
  receiver_.Set({{"/slow", {{"delay", 30}}}});
  for (int i = 0; i < 3; ++i) AddEvent();
  Send();
  EXPECT_TRUE(WaitFor([this] { return Taken("/a") == 3; }, absl::Seconds(5)));
  const absl::Time stop = absl::Now();
  webhooks_.reset();
  EXPECT_LT(absl::Now() - stop, absl::Seconds(5)) << "what is sent is given up at the end";
}

TEST_F(WebhooksTest, ChecksNameTheirRecipientsAndMutedOnesAreSilent) {
  Open({"/a", "/b"});
  ServeFromHere();
  auto named = std::make_shared<ProbeCheck>(*view_.check);
  named->recipients = {recipients_->Recipients()[1].id};
  AddEvent();
  view_.check = named;
  AddEvent();
  view_.status.muted = true;
  AddEvent();
  Send();
  ASSERT_TRUE(WaitFor([this] { return Taken("/b") == 2; }));
  ASSERT_TRUE(WaitFor([this] {
    const auto place = store_->Find(recipients_->Recipients()[0].id);
    return place.ok() && (*place)->event == 3;
  }));
  EXPECT_EQ(Taken("/a"), 1);
  EXPECT_EQ(Taken("/b"), 2);
}

TEST_F(WebhooksTest, RecipientsOfTheApiComeAndGoAndAreGuarded) {
  guard_ = [](const std::string& address, int) {
    return address == "127.0.0.1" ? "a loopback address" : "";
  };
  Open({});
  Recipient recipient;
  recipient.type = "webhook";
  recipient.value = receiver_.url("/inside");
  const auto made = recipients_->AddRecipient(recipient);
  ASSERT_THAT(made, IsOk());
  ServeFromHere();
  AddEvent();
  Send();
  ASSERT_TRUE(WaitFor([this] { return webhooks_->counts().failed >= 1; }));
  EXPECT_TRUE(receiver_.Requests("/inside").empty());
  ASSERT_THAT(recipients_->RemoveRecipient(made->id), IsOk());
  webhooks_->Wake();
  EXPECT_TRUE(WaitFor([&] {
    const auto place = store_->Find(made->id);
    return place.ok() && !place->has_value();
  }));
}

TEST_F(WebhooksTest, ChatsGetTheTextAlone) {
  Open({});
  Recipient recipient;
  recipient.type = "slack_compatible";
  recipient.value = receiver_.url("/chat");
  ASSERT_THAT(recipients_->AddRecipient(recipient), IsOk());
  ServeFromHere();
  AddEvent();
  Send();
  ASSERT_TRUE(WaitFor([this] { return receiver_.Requests("/chat").size() == 1; }));
  EXPECT_EQ(Json::parse(std::string(receiver_.Requests("/chat")[0]["body"]))["text"],
            "DOWN: https://chitter.xyz since 22:13:21 (UTC), reason: 502");
}

TEST_F(WebhooksTest, AKilledSenderLosesNothingAndRepeatsAtMostOne) {
  constexpr size_t kEvents = 60;
  for (size_t i = 0; i < kEvents; ++i) AddEvent();
  size_t kills = 0;
  for (size_t round = 0; round < 3; ++round) {
    const size_t before = Taken("/a");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Open({"/a"});
      if (round == 0) ServeFromHere();
      Send();
      for (;;) ::pause();
    }
    EXPECT_TRUE(WaitFor([&] { return Taken("/a") >= std::min(before + 7, kEvents); }));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ++kills;
  }
  Open({"/a"});
  Send();
  std::map<std::string, int> seen;
  EXPECT_TRUE(WaitFor([&] {
    seen.clear();
    for (const Json& event : receiver_.Events("/a")) ++seen[event["time"]];
    return seen.size() == kEvents;
  }));
  EXPECT_LE(Taken("/a"), kEvents + kills) << "one for each death at most";
}

}  // namespace
}  // namespace fleet::collector
