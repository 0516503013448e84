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
  explicit Scenario(uint64_t seed) : files_(seed) {
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
    auto opened = Journal::Open({.dir = "/data/journal"}, files_, clock_);
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
  std::vector<std::pair<std::string, TestSegment>> segments_;
  std::map<std::string, std::shared_ptr<AckRecorder>> acks_ = {
      {"parasect", std::make_shared<AckRecorder>()}, {"tempo", std::make_shared<AckRecorder>()}};
  std::unique_ptr<Journal> journal_;
};

TEST(JournalCrashTest, EveryAckedReportSurvivesEveryCut) {
  uint64_t changes = 0;
  {
    Scenario whole(1);
    whole.Play();
    changes = whole.files().changes();
    whole.CheckAcked();
    whole.CheckComplete();
  }
  ASSERT_GT(changes, 40u);
  for (uint64_t cut = 0; cut <= changes && !::testing::Test::HasFailure(); ++cut) {
    SCOPED_TRACE(absl::StrCat("cut after ", cut, " of ", changes));
    Scenario scenario(cut + 1);
    scenario.files().CutAfter(cut);
    scenario.Play();
    scenario.Crash();
    scenario.CheckAcked();
    scenario.CheckComplete();
  }
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
