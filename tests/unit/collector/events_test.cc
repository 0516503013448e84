#include "collector/events.h"

#include <set>

#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::collector {
namespace {

using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr absl::Duration kWait = absl::Seconds(20);

class EventsTest : public ::testing::Test {
 protected:
  std::unique_ptr<EventLog> Open(const EventLog::Limits& limits = EventLog::Limits()) {
    auto log = EventLog::Open(path_, clock_, limits);
    EXPECT_THAT(log, IsOk());
    return *std::move(log);
  }
  Event At(absl::Duration after, absl::string_view host, absl::string_view text = "") {
    Event event;
    event.time = start_ + after;
    event.host = std::string(host);
    event.kind = "verdict";
    event.text = std::string(text);
    return event;
  }
  std::vector<std::string> Texts(EventLog& log, absl::string_view host = "", size_t limit = 100) {
    std::vector<std::string> texts;
    const auto events = log.Query(host, absl::InfinitePast(), absl::InfiniteFuture(), limit);
    EXPECT_THAT(events, IsOk());
    for (const Event& event : *events) texts.push_back(event.text);
    return texts;
  }

  test::TempDir dir_;
  std::string path_ = dir_ / "events.db";
  test::FakeClock clock_;
  const absl::Time start_ = clock_.Now();
};

TEST_F(EventsTest, GivesBackWhatWasAppendedEvenAfterARestart) {
  const Event event{start_, "tempo", "raid/md0", "verdict", "ok", "crit", "degraded (1 of 2)"};
  Open()->Append(event);
  auto log = Open();
  EXPECT_THAT(log->Query("", absl::InfinitePast(), absl::InfiniteFuture(), 10),
              IsOkAnd(ElementsAre(event)));
}

TEST_F(EventsTest, KeepsThemInMemoryWithoutAPath) {
  path_.clear();
  auto log = Open();
  log->Append(At(absl::ZeroDuration(), "tempo", "a"));
  ASSERT_TRUE(log->Flush(kWait));
  EXPECT_THAT(Texts(*log), ElementsAre("a"));
}

TEST_F(EventsTest, ChoosesByHostTimeAndNumber) {
  auto log = Open();
  log->Append(At(absl::Seconds(2), "tempo", "c"));
  log->Append(At(absl::Seconds(0), "tempo", "a"));
  log->Append(At(absl::Seconds(1), "parasect", "b"));
  ASSERT_TRUE(log->Flush(kWait));
  EXPECT_THAT(Texts(*log), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Texts(*log, "tempo"), ElementsAre("a", "c"));
  EXPECT_THAT(Texts(*log, "", 2), ElementsAre("b", "c"));
  EXPECT_THAT(log->Query("", start_, start_ + absl::Seconds(1), 10), IsOkAnd(SizeIs(1)));
}

TEST_F(EventsTest, CutsWhatIsTooLong) {
  auto log = Open();
  log->Append(At(absl::ZeroDuration(), "tempo", std::string(100'000, 'x')));
  ASSERT_TRUE(log->Flush(kWait));
  EXPECT_LE(Texts(*log).front().size(), EventLog::kTextBytesMax + 8);
}

TEST_F(EventsTest, ForgetsTheOldAndTheMany) {
  auto log = Open({.events = 3, .age = absl::Hours(24)});
  for (int i = 0; i < 5; ++i) log->Append(At(absl::Seconds(i), "tempo", absl::StrCat(i)));
  ASSERT_TRUE(log->Flush(kWait));
  clock_.Advance(EventLog::kTrimEvery);
  EXPECT_TRUE(test::WaitFor([&] { return Texts(*log).size() == 3; }));
  EXPECT_THAT(Texts(*log), ElementsAre("2", "3", "4"));
  clock_.Advance(absl::Hours(24));
  EXPECT_TRUE(test::WaitFor([&] { return Texts(*log).empty(); }));
}

TEST_F(EventsTest, DropsAndCountsWhenTheDiskRefusesAndGoesOnAfterwards) {
  auto log = Open();
  // Another process that holds the file.
  auto other = Database::Open(path_, Database::Sync::kNormal, {});
  // The schema is newer than none at all: a reader without migrations is refused.
  EXPECT_FALSE(other.ok());
  const char* const unused[] = {"SELECT 1"};
  other = Database::Open(path_, Database::Sync::kNormal, unused);
  ASSERT_THAT(other, IsOk());
  auto held = Database::Transaction::Begin(**other);
  ASSERT_THAT(held, IsOk());
  for (size_t i = 0; i < EventLog::kQueueMax + 7; ++i) {
    log->Append(At(absl::Seconds(static_cast<int64_t>(i)), "tempo"));
  }
  EXPECT_EQ(log->dropped(), 7u);
  EXPECT_EQ(log->written(), 0u);
  ASSERT_THAT(held->Commit(), IsOk());
  EXPECT_TRUE(test::WaitFor([&] {
    clock_.Advance(EventLog::kRetryEvery);
    return log->written() == EventLog::kQueueMax;
  }));
}

TEST_F(EventsTest, TakesEventsOfManyThreads) {
  auto log = Open();
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 100; ++i) log->Append(At(absl::Seconds(i), absl::StrCat("h", t)));
      });
    }
  }
  ASSERT_TRUE(log->Flush(kWait));
  EXPECT_THAT(log->Query("h2", absl::InfinitePast(), absl::InfiniteFuture(), 1000),
              IsOkAnd(SizeIs(100)));
  EXPECT_EQ(log->written(), 400u);
}

}  // namespace
}  // namespace fleet::collector
