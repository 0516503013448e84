// The power goes at every moment at which the journal changes something on the disk.
#include <gmock/gmock.h>

#include "collector/journal/journal.h"
#include "tests/support/fake_clock.h"
#include "tests/support/forgetful_file_system.h"
#include "tests/support/journal_agent.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::collector {
namespace {

using ::fleet::test::AckRecorder;
using ::fleet::test::IsOk;
using ::fleet::test::IsOkAnd;
using ::fleet::test::TestSegment;

/// Two hosts that send three segments each, in pieces, overlapping, live and backlog; closed ones
/// are synced, logs rotated and released, and one restart lies in the middle.
class Scenario {
 public:
  explicit Scenario(uint64_t seed, absl::Duration max_age = JournalOptions().max_age)
      : files_(seed), max_age_(max_age) {
    for (const char* host : {"parasect", "tempo"}) {
      for (uint64_t number = 0; number < 3; ++number) {
        TestSegment& segment =
            segments_.emplace_back(host, TestSegment({7, number}, clock_.Now())).second;
        for (int i = 0; i < 4; ++i) segment.Add(static_cast<double>(number * 100) + i);
      }
    }
  }

  test::ForgetfulFileSystem& files() { return files_; }

  /// Opens the journal; false when the disk is gone already.
  bool Open() {
    journal_.reset();
    auto opened = Journal::Open({.dir = "/data/journal", .max_age = max_age_}, files_, clock_);
    if (opened.ok()) journal_ = *std::move(opened);
    return opened.ok();
  }

  /// Without `release` the old logs are still there in the end.
  void Play(bool release = true) {
    if (!Open()) return;
    for (uint64_t number = 0; number < 3; ++number) {
      Send(number, 0, 2, false);
      Send(number, 0, 4, true);
      if (!Settle()) return;
      clock_.Advance(JournalLog::kFileAgeMax);  // the next goes to another log
      if (number == 1 && !Open()) return;
    }
    // Closed files are synced, the catalog written, old logs removed.
    if (release) WaitUntil([this] { return journal_->stats().log_files <= 1; });
  }

  /// Everything becomes too old and goes: the files, and the logs they were written from.
  void GrowOld() {
    if (journal_ == nullptr) return;
    clock_.Advance(2 * max_age_);
    WaitUntil([this] { return journal_->Hosts().empty(); });
    WaitUntil([this] { return journal_->stats().log_files <= 1; });
  }

  /// What was acknowledged is no news, whatever became of it since.
  void CheckKnown() {
    ASSERT_TRUE(Open());
    for (const auto& [host, segment] : segments_) {
      const uint64_t acked = acks_[host]->safe(segment.id());
      if (acked == 0) continue;
      Journal::Records records = segment.Piece(host, 0, acked, true);
      records.last = acked == segment.reports();
      const auto taken = journal_->Append(records, acks_[host]);
      ASSERT_THAT(taken, IsOk()) << host << " " << segment.id().number;
      EXPECT_EQ(taken->outcome, Journal::Outcome::kSafe) << host << " " << segment.id().number;
      EXPECT_EQ(taken->repeats, acked) << host << " " << segment.id().number;
    }
  }

  /// What was acknowledged must be there, now and ever after.
  void CheckAcked() {
    ASSERT_TRUE(Open());
    for (const auto& [host, segment] : segments_) {
      const uint64_t acked = acks_[host]->safe(segment.id());
      if (acked == 0) continue;
      const absl::StatusOr<std::string> bytes = journal_->Read(host, segment.id());
      ASSERT_THAT(bytes, IsOk()) << host << " " << segment.id().number;
      EXPECT_GE(test::ValuesOf(*bytes).size(), acked) << host << " " << segment.id().number;
      EXPECT_EQ(*bytes, segment.bytes().substr(0, bytes->size()));
    }
  }

  /// The agents come again with all they have; afterwards everything is there exactly once.
  void CheckComplete() {
    for (uint64_t number = 0; number < 3; ++number) Send(number, 0, 4, true);
    ASSERT_TRUE(Settle());
    for (const auto& [host, segment] : segments_) {
      EXPECT_THAT(journal_->Read(host, segment.id()), IsOkAnd(segment.bytes()))
          << host << " " << segment.id().number;
    }
  }

  /// What a host had announced is forgotten, so it is waited for until it says it again.
  void CheckAwaits(bool says) {
    ASSERT_TRUE(Open());
    EXPECT_TRUE(journal_->AwaitsOlder("tempo", clock_.Now()));
    if (says) journal_->Announce("tempo", 7, {});
    if (!says) clock_.Advance(Journal::kAwaitHelloMax);
    EXPECT_FALSE(journal_->AwaitsOlder("tempo", clock_.Now()));
  }

  void Crash() {
    journal_.reset();
    files_.Crash();
  }

 private:
  void Send(uint64_t number, uint64_t from, uint64_t to, bool backlog) {
    for (const auto& [host, segment] : segments_) {
      if (segment.id().number != number) continue;
      Journal::Records records = segment.Piece(host, from, to, backlog);
      records.last = to == segment.reports();
      EXPECT_THAT(journal_->Append(records, acks_[host]), IsOk());
    }
  }
  template <typename Done>
  void WaitUntil(Done done) {
    test::WaitFor([&] {
      clock_.Advance(absl::Milliseconds(500));
      return done() || !journal_->stats().trouble.empty();
    });
  }
  bool Settle() {
    bool settled = false;
    WaitUntil([&] { return settled = journal_->Flush(absl::Milliseconds(1)); });
    return settled;
  }

  test::FakeClock clock_;
  test::ForgetfulFileSystem files_;
  const absl::Duration max_age_;
  std::vector<std::pair<std::string, TestSegment>> segments_;
  std::map<std::string, std::shared_ptr<AckRecorder>> acks_ = {
      {"parasect", std::make_shared<AckRecorder>()}, {"tempo", std::make_shared<AckRecorder>()}};
  std::unique_ptr<Journal> journal_;
};

TEST(JournalRestartTest, AHostIsWaitedForUntilItSaysWhatItHas) {
  Scenario scenario(1);
  scenario.Play();
  scenario.Crash();
  scenario.CheckAwaits(true);
  scenario.CheckAwaits(false);
}

/// What a disk keeps of what was not synced is a matter of luck: each cut gets some of it.
constexpr uint64_t kSeeds = 4;

/// Plays a scenario cut after each of its changes of the disk: `play`, the crash, `check`.
template <typename Play, typename Check>
void CutEverywhere(absl::Duration max_age, Play play, Check check) {
  uint64_t changes = 0;
  {
    Scenario whole(1, max_age);
    play(whole);
    changes = whole.files().changes();
    check(whole);
  }
  ASSERT_GT(changes, 40u);
  for (uint64_t cut = 0; cut <= changes; ++cut) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      SCOPED_TRACE(absl::StrCat("cut after ", cut, " of ", changes, ", seed ", seed));
      Scenario scenario(cut * kSeeds + seed, max_age);
      scenario.files().CutAfter(cut);
      play(scenario);
      scenario.Crash();
      check(scenario);
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(JournalCrashTest, EveryAckedReportSurvivesEveryCut) {
  CutEverywhere(
      JournalOptions().max_age, [](Scenario& scenario) { scenario.Play(); },
      [](Scenario& scenario) {
        scenario.CheckAcked();
        scenario.CheckKnown();
        scenario.CheckComplete();
      });
}

TEST(JournalCrashTest, WhatRetentionTookStaysKnownAtEveryCut) {
  CutEverywhere(
      absl::Hours(24),
      [](Scenario& scenario) {
        scenario.Play(false);
        scenario.GrowOld();
      },
      [](Scenario& scenario) { scenario.CheckKnown(); });
}

TEST(JournalCrashTest, RecoveryItselfMayBeCut) {
  bool reached = true;  // by the last start: then there may be a later change to cut at
  uint64_t cut = 0;
  for (; reached && !::testing::Test::HasFailure(); ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after ", cut));
    Scenario scenario(cut + 1);
    scenario.Play(false);
    scenario.Crash();
    const uint64_t last = scenario.files().changes() + cut;
    scenario.files().CutAfter(last);
    scenario.Open();
    reached = scenario.files().changes() >= last;
    scenario.Crash();
    scenario.CheckAcked();
    scenario.CheckComplete();
  }
  EXPECT_GT(cut, 10u);
}

}  // namespace
}  // namespace fleet::collector
