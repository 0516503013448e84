// What is asked of whom.
#include "collector/probes/book.h"
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

}  // namespace
}  // namespace fleet::collector
