#include "collector/identity.h"

#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/test_ca.h"

namespace fleet::collector {
namespace {

using ::fleet::test::HasCode;
using ::fleet::test::IsOk;
using ::fleet::test::StatusIs;
using ::fleet::test::TestCa;
using ::fleet::test::TlsIdentity;
using ::testing::HasSubstr;

constexpr absl::string_view kUpload = "/fleet.v1.Ingest/Upload";
constexpr absl::string_view kStatus = "/fleet.v1.Fleet/Status";

class GateTest : public ::testing::Test {
 protected:
  GateTest() { gate_.SetAnchors(*TrustAnchors::Parse(ca_.ca(), "")); }

  static Peer Shows(const TlsIdentity& tls) {
    return {.certificate = tls.cert, .chain = tls.cert, .address = "10.235.0.66", .port = 1};
  }
  Peer Agent(const std::string& host) { return Shows(ca_.Issue(Role::kAgent, host)); }
  double Rejected(const std::string& reason) {
    const std::string text = metrics_.Render();
    const std::string name =
        absl::StrCat("fleet_collector_rejected_total{reason=\"", reason, "\"} ");
    const size_t at = text.find(name);
    return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size()));
  }
  std::vector<Event> Events() {
    EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
    return *events_->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 100);
  }

  test::FakeClock clock_;
  TestCa ca_{clock_.Now()};
  SelfMetrics metrics_;
  std::unique_ptr<EventLog> events_ = *EventLog::Open("", clock_);
  std::unique_ptr<TrustStore> store_ = *TrustStore::Open("", clock_);
  Refusals refusals_{*events_, metrics_, clock_};
  // Descriptors 1 to 9 are sockets of these tests; the others are closed.
  Newcomers newcomers_{[](int fd) -> uint64_t { return fd < 10 ? 7 : 0; }};
  Gate gate_{*store_, refusals_, newcomers_, clock_, false};
};

TEST_F(GateTest, SaysWhoItIs) {
  const auto admitted = gate_.Admit(Agent("tempo"), kUpload);
  ASSERT_THAT(admitted, IsOk());
  EXPECT_TRUE(admitted->verified);
  EXPECT_EQ(admitted->name, "tempo");
  EXPECT_EQ(admitted->role, Role::kAgent);
}

TEST_F(GateTest, AnAnswerThatIsRememberedStillGrowsOld) {
  const Peer tempo = Shows(ca_.Issue(Role::kAgent, "tempo", -absl::Hours(1), absl::Hours(1)));
  EXPECT_THAT(gate_.Admit(tempo, kUpload), IsOk());
  clock_.Advance(absl::Hours(1) + absl::Seconds(1));
  EXPECT_THAT(gate_.Admit(tempo, kUpload),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("refused (expired)")));
  clock_.JumpWall(-absl::Hours(3));
  EXPECT_THAT(gate_.Admit(tempo, kUpload),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("refused (not_yet_valid)")));
}

TEST_F(GateTest, AnAnswerThatIsRememberedEndsWithItsCa) {
  const Peer tempo = Agent("tempo");
  EXPECT_THAT(gate_.Admit(tempo, kUpload), IsOk());
  gate_.SetAnchors(*TrustAnchors::Parse(TestCa(clock_.Now()).ca(), ""));
  EXPECT_THAT(gate_.Admit(tempo, kUpload), HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(GateTest, TheSameLeafWithoutItsChainIsAnotherQuestion) {
  Peer tempo = Agent("tempo");
  EXPECT_THAT(gate_.Admit(tempo, kUpload), IsOk());
  tempo.chain.clear();
  tempo.certificate = tempo.certificate.substr(0, tempo.certificate.find("-----END") + 26);
  EXPECT_THAT(gate_.Admit(tempo, kUpload), HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(GateTest, BelievesNobodyBeforeItKnowsACa) {
  Gate gate(*store_, refusals_, newcomers_, clock_, false);
  EXPECT_THAT(gate.Admit(Agent("tempo"), kUpload), HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(GateTest, InsecureBelievesEverybodyButNotTheRetired) {
  Gate gate(*store_, refusals_, newcomers_, clock_, true);
  const auto admitted = gate.Admit({}, kUpload);
  ASSERT_THAT(admitted, IsOk());
  EXPECT_FALSE(admitted->verified);
  ASSERT_THAT(store_->Retire("tempo", "me"), IsOk());
  EXPECT_THAT(gate.Enter(*admitted, "tempo", [](const absl::Status&) {}),
              HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(gate.Enter(*admitted, "parasect", [](const absl::Status&) {}), IsOk());
}

TEST_F(GateTest, ClosesWhatIsOpenWhenTrustEnds) {
  const auto tempo = gate_.Admit(Agent("tempo"), kUpload);
  const auto parasect = gate_.Admit(Agent("parasect"), kUpload);
  absl::Status tempo_end;
  absl::Status parasect_end;
  const auto one =
      gate_.Enter(*tempo, "tempo", [&](const absl::Status& status) { tempo_end = status; });
  const auto two = gate_.Enter(*parasect, "parasect",
                               [&](const absl::Status& status) { parasect_end = status; });
  ASSERT_THAT(store_->RevokeSerial(tempo->check.facts.serial, "lost"), IsOk());
  EXPECT_EQ(gate_.CloseUntrusted(), 1u);
  EXPECT_THAT(tempo_end, StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("revoked")));
  EXPECT_THAT(parasect_end, IsOk());
  // Who was admitted just before is not let in just after.
  EXPECT_THAT(gate_.Enter(*tempo, "tempo", [](const absl::Status&) {}),
              HasCode(absl::StatusCode::kUnauthenticated));
}

TEST_F(GateTest, ALeftCallIsNotClosed) {
  const auto tempo = gate_.Admit(Agent("tempo"), kUpload);
  int closed = 0;
  {
    const auto ticket = gate_.Enter(*tempo, "tempo", [&](const absl::Status&) { ++closed; });
  }
  ASSERT_THAT(store_->Retire("tempo", "me"), IsOk());
  EXPECT_EQ(gate_.CloseUntrusted(), 0u);
  EXPECT_EQ(closed, 0);
}

TEST_F(GateTest, ARevokedNameEndsWhatNobodyHasSeenHere) {
  const Peer anna = Shows(ca_.Issue(Role::kAdmin, "anna"));
  const Peer other = Agent("anna");
  clock_.Advance(absl::Minutes(5));
  ASSERT_THAT(store_->RevokeName(Role::kAdmin, "anna", "test"), IsOk());
  const auto refused = gate_.Admit(anna, kStatus);
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(refused.status().message(),
              ::testing::HasSubstr("refused (revoked): admin anna's certificates were revoked"));
  EXPECT_EQ(Rejected("revoked"), 1);
  EXPECT_THAT(gate_.Admit(other, kUpload), IsOk());
  // Made since then, where only the issuing key is.
  const Peer anew =
      Shows(ca_.Issue(Role::kAdmin, "anna", absl::Minutes(5) + absl::Seconds(1) - kBackdate));
  EXPECT_THAT(gate_.Admit(anew, kStatus), IsOk());
}

TEST_F(GateTest, TellsOfEachCertificateUntilItIsTaken) {
  std::vector<std::string> seen;
  gate_.SetSeen([&](const CertificateFacts& facts) {
    seen.push_back(facts.name);
    return seen.size() > 1;  // the first time there is no room
  });
  const Peer tempo = Agent("tempo");
  EXPECT_THAT(gate_.Admit(tempo, kUpload), IsOk());
  EXPECT_THAT(gate_.Admit(tempo, kUpload), IsOk());
  EXPECT_THAT(gate_.Admit(tempo, kUpload), IsOk());
  EXPECT_THAT(gate_.Admit(tempo, kStatus), HasCode(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(seen, ::testing::ElementsAre("tempo", "tempo"));
}

TEST_F(GateTest, KnocksAreCountedEachTimeAndToldOnceInAWhile) {
  const Peer nobody = {.certificate = {}, .chain = {}, .address = "10.235.0.66"};
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(gate_.Admit(nobody, kStatus).ok());
  EXPECT_EQ(Rejected("no_certificate"), 5);
  ASSERT_EQ(Events().size(), 1u);
  EXPECT_EQ(Events()[0].kind, "refused");
  EXPECT_EQ(Events()[0].to, "no_certificate");
  EXPECT_EQ(Events()[0].subject, "10.235.0.66");
  clock_.Advance(Refusals::kRepeatEvery);
  EXPECT_FALSE(gate_.Admit(nobody, kStatus).ok());
  EXPECT_EQ(Events().size(), 2u);
}

TEST_F(GateTest, ManyAddressesFillNeitherMemoryNorEvents) {
  for (size_t i = 0; i < Refusals::kKnownMax + 50; ++i) {
    const Peer nobody = {.certificate = {}, .chain = {}, .address = absl::StrCat("10.0.0.", i)};
    EXPECT_FALSE(gate_.Admit(nobody, kStatus).ok());
  }
  EXPECT_EQ(Rejected("no_certificate"), static_cast<double>(Refusals::kKnownMax + 50));
  EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
  EXPECT_EQ(events_->written(), Refusals::kKnownMax);
}

TEST_F(GateTest, AStrangersNameIsNoHostsAndHisNoiseHidesNoOtherReason) {
  const TestCa foreign(clock_.Now());
  EXPECT_FALSE(gate_.Admit(Shows(foreign.Issue(Role::kAgent, "tempo")), kUpload).ok());
  ASSERT_EQ(Events().size(), 1u);
  EXPECT_EQ(Events()[0].host, "");
  EXPECT_THAT(Events()[0].text, HasSubstr("it claims to be \"tempo\""));
  for (size_t i = 0; i < Refusals::kKnownMax; ++i) {
    refusals_.Note({"unknown_ca", "text", "", absl::StrCat("10.1.", i / 250, ".", i % 250)});
  }
  EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
  EXPECT_EQ(events_->written(), Refusals::kKnownMax);
  refusals_.Note({"revoked", "text", "parasect", "10.235.0.3"});
  EXPECT_TRUE(events_->Flush(absl::Seconds(20)));
  EXPECT_EQ(events_->written(), Refusals::kKnownMax + 1);
}

TEST_F(GateTest, WhereARefusalCameFromIsKnownByWhoHasNotProvedItself) {
  const Peer nobody;  // before the call has reached anybody
  newcomers_.Arrived(1, "10.235.0.66", 1000);
  newcomers_.Arrived(2, "10.235.0.4", 1001);
  newcomers_.Arrived(20, "10.235.0.9", 1002);  // closed
  EXPECT_FALSE(gate_.Admit(nobody, kStatus).ok());
  EXPECT_EQ(Events().back().subject, "");
  EXPECT_THAT(Events().back().text, HasSubstr("from one of 10.235.0.4, 10.235.0.66"));
  Peer tempo = Agent("tempo");
  tempo.address = "10.235.0.4";
  tempo.port = 1001;
  EXPECT_THAT(gate_.Identify(tempo), IsOk());
  clock_.Advance(Refusals::kRepeatEvery);
  EXPECT_FALSE(gate_.Admit(nobody, kStatus).ok());
  EXPECT_EQ(Events().back().subject, "10.235.0.66");
}

TEST_F(GateTest, AnUnnamedMethodIsNobodys) {
  EXPECT_EQ(AccessOf("/fleet.v1.Fleet/Status"), Access::kAdmin);
  EXPECT_EQ(AccessOf("/fleet.v1.Fleet/Status2"), Access::kNobody);
  EXPECT_EQ(AccessOf(""), Access::kNobody);
  EXPECT_THAT(gate_.Admit(Shows(ca_.Issue(Role::kAdmin, "rado")), "/x/y"),
              HasCode(absl::StatusCode::kPermissionDenied));
}

}  // namespace
}  // namespace fleet::collector
