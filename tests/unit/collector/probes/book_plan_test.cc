// What is asked of whom, and what is known when nobody is left to ask.
#include "collector/probes/book.h"
#include "collector/probes/probe_status.h"
#include "tests/support/book_fixture.h"

namespace fleet::collector {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(BookTest, PlansWhatAVantageIsToLookAt) {
  checks_[0].vantages = {"all"};
  checks_.push_back(Configured("media", "ljag", "https://media.chitter.xyz/"));
  checks_.back().vantages = {"collector", "tempo"};
  checks_.push_back(Configured("here", "here", "https://example.org/"));
  checks_.push_back(Configured("own roots", "root", "https://internal.example/"));
  checks_.back().vantages = {"all"};
  checks_.back().spec.tls.ca_file = "/etc/fleet/ca.pem";  // a file of this machine
  Open();
  const auto tokens = [this](absl::string_view vantage) {
    std::vector<std::string> found;
    for (const probe::Planned& planned : book_->PlanFor(vantage)) found.push_back(planned.token);
    return found;
  };
  EXPECT_THAT(tokens("tempo"), ElementsAre("1kae", "ljag"));
  EXPECT_THAT(tokens("parasect"), ElementsAre("1kae"));
  EXPECT_EQ(book_->PlanFor("tempo")[0].period, checks_[0].period);
  EXPECT_EQ(book_->PlanFor("tempo")[0].spec.target, checks_[0].spec.target);
}

TEST_F(BookTest, ACheckOfTheApiIsLookedAtFromEverywhereThatIsNotDisabled) {
  ProbeCheck check;
  check.url = "https://example.org/";
  check.disabled_locations = {"lan", "parasect"};  // updown's own codes disable nothing here
  const std::string token = book_->Create(check)->check->token;
  EXPECT_THAT(book_->PlanFor("tempo"), SizeIs(1));
  EXPECT_THAT(book_->PlanFor("parasect"), IsEmpty());
  Run(absl::Minutes(1));
  EXPECT_THAT(engine_.TakeStarted(), ::testing::Contains("https://example.org/"));
  check = *book_->Find(token)->check;
  check.disabled_locations = {"collector"};
  ASSERT_TRUE(book_->Update(check).ok());
  EXPECT_THAT(book_->PlanFor("parasect"), SizeIs(1));
  engine_.TakeStarted();
  Run(absl::Minutes(3));
  EXPECT_THAT(engine_.TakeStarted(), ::testing::Not(::testing::Contains("https://example.org/")));
  // So too after a restart.
  Open();
  EXPECT_THAT(book_->PlanFor("tempo"), SizeIs(1));
}

TEST_F(BookTest, AsksWithGetWhereHeadIsAnsweredOtherwise) {
  ProbeCheck check;
  check.url = "https://example.org/";
  const std::string token = book_->Create(check)->check->token;
  const auto asks_head = [&] { return book_->PlanFor("tempo")[0].spec.http.head_first; };
  const auto see = [&](bool success, bool agrees) {
    ProbeLook look;
    look.token = token;
    look.vantage = "collector";
    look.result.start = clock_.Now();
    look.result.success = success;
    look.result.error = success ? "" : "502";
    look.result.head_agrees = agrees;
    book_->Observe(std::move(look));
    book_->Work(false);
  };
  EXPECT_TRUE(asks_head());
  see(false, true);  // it is down, whichever way it is asked
  EXPECT_TRUE(asks_head());
  EXPECT_TRUE(book_->PlanFor("tempo")[0].spec.http.compare_head);
  see(true, true);
  EXPECT_TRUE(asks_head());
  EXPECT_FALSE(book_->PlanFor("tempo")[0].spec.http.compare_head);
  see(true, false);
  EXPECT_FALSE(asks_head());
  book_->Work(true);
  Open();
  EXPECT_FALSE(asks_head()) << "known after a restart, too";
  check = *book_->Find(token)->check;
  check.url = "https://example.org/other";
  ASSERT_TRUE(book_->Update(check).ok());
  EXPECT_TRUE(asks_head());
}

TEST_F(BookTest, HurriesVantagesWhileAChangeIsToBeConfirmed) {
  checks_[0].vantages = {"all"};
  Open();
  const auto see = [this](const std::string& error) {
    probe::Look look;
    look.token = "1kae";
    look.result.start = clock_.Now();
    look.result.success = error.empty();
    look.result.error = error;
    book_->TakeLook("tempo", std::move(look));
    book_->Work(false);
  };
  see("");
  EXPECT_THAT(book_->Hurried(), IsEmpty());
  clock_.Advance(absl::Seconds(60));
  const int before = plan_changes_;
  see("502");
  EXPECT_THAT(book_->Hurried(), ElementsAre("1kae"));
  EXPECT_GT(plan_changes_, before);
}

/// A probe that tempo alone looks at.
class OnlyVantageTest : public BookTest {
 protected:
  void SetUp() override {
    checks_.push_back(Configured("chitter.xyz", "1kae", kUrl));
    checks_[0].vantages = {"tempo"};
    Open();
  }
  /// For so long tempo sees this, every half minute; empty: that it works.
  void Look(const std::string& error, absl::Duration span) {
    for (absl::Duration done; done < span; done += absl::Seconds(30)) {
      ProbeLook look{"1kae", "tempo", {}};
      look.result.start = clock_.Now();
      look.result.success = error.empty();
      look.result.error = error;
      book_->Observe(look);
      Run(absl::Seconds(30));
    }
  }
  ProbeVerdict Judged() { return JudgeProbe(*book_->Find("1kae"), clock_.Now()); }
};

TEST_F(OnlyVantageTest, ItsRetirementEndsTheDowntimeThatNobodySeesAnyMore) {
  Look("", absl::Minutes(3));
  Look("502", absl::Minutes(4));
  ASSERT_TRUE(Status().down);
  for (const char* time : {"at once", "after a restart"}) {
    // Said again and again, as long as it is retired.
    book_->ForgetVantage("tempo");
    book_->ForgetVantage("tempo");
    EXPECT_FALSE(Status().down) << time;
    EXPECT_EQ(Status().vantages, 0) << time;
    EXPECT_EQ(Judged().verdict, Verdict::kUnknown) << time;
    EXPECT_EQ(Judged().reason, "its only vantage, tempo, was retired") << time;
    const std::vector<Downtime> downtimes = *book_->Downtimes("1kae", 0, 10);
    ASSERT_THAT(downtimes, SizeIs(1));
    ASSERT_TRUE(downtimes[0].ended_at.has_value()) << time;
    EXPECT_EQ(*downtimes[0].ended_at, clock_.Now()) << time;
    EXPECT_EQ(downtimes[0].error, "502 (ended unseen: its only vantage, tempo, was retired)");
    Open();
    EXPECT_FALSE(Status().down) << time;
  }
  EXPECT_THAT(Kinds(), ElementsAre("check.down")) << "nobody saw it work again";
}

TEST_F(OnlyVantageTest, ItsRetirementLeavesNothingOkThatNobodyLooksAt) {
  Look("", absl::Minutes(3));
  ASSERT_EQ(Judged().verdict, Verdict::kOk);
  book_->ForgetVantage("onix");
  EXPECT_EQ(Judged().verdict, Verdict::kOk);
  book_->ForgetVantage("tempo");
  EXPECT_EQ(Judged().verdict, Verdict::kUnknown);
  // It was taken back.
  Look("", absl::Minutes(1));
  EXPECT_EQ(Judged().verdict, Verdict::kOk);
  EXPECT_EQ(Status().vantages, 1);
}

TEST_F(OnlyVantageTest, OfTwoOneIsEnough) {
  checks_[0].vantages = {"tempo", "onix"};
  Open();
  Look("", absl::Minutes(3));
  book_->ForgetVantage("onix");
  EXPECT_EQ(Judged().verdict, Verdict::kOk);
  book_->ForgetVantage("tempo");
  EXPECT_EQ(Judged().reason, "its vantages were retired: onix, tempo");
}

TEST_F(OnlyVantageTest, WhatIsForgottenAfterARestartStaysForgottenAfterTheNext) {
  checks_[0].vantages = {"all"};
  Open();
  Look("502", absl::Seconds(30));
  ASSERT_EQ(Status().failing_vantages, 1);
  Open();  // without samples, which are not kept
  book_->ForgetVantage("tempo");
  EXPECT_EQ(Status().failing_vantages, 0);
  Open();
  EXPECT_EQ(Status().failing_vantages, 0);
}

}  // namespace
}  // namespace fleet::collector
