#pragma once

#include <gmock/gmock.h>

#include <memory>

#include "collector/journal/journal.h"
#include "tests/support/fake_clock.h"
#include "tests/support/forgetful_file_system.h"
#include "tests/support/journal_agent.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::collector {

/// A journal over a disk and a clock in our hand.
class JournalTest : public ::testing::Test {
 protected:
  void Open() {
    journal_.reset();
    auto opened = Journal::Open(options_, files_, clock_);
    ASSERT_THAT(opened, test::IsOk());
    journal_ = *std::move(opened);
  }
  Journal::Outcome Append(const Journal::Records& records) {
    const auto taken = journal_->Append(records, acks_);
    EXPECT_THAT(taken, test::IsOk());
    return taken.ok() ? taken->outcome : Journal::Outcome::kNoRoom;
  }
  /// Lets the clock run until all that was taken is on the disk and in its files.
  void Settle(absl::Duration step = absl::Milliseconds(50)) {
    ASSERT_TRUE(test::WaitFor([&] {
      clock_.Advance(step);
      return journal_->Flush(absl::Milliseconds(2));
    }));
  }
  /// Lets the clock run in steps until `done`; the journal's threads have time in between.
  template <typename Done>
  void Until(absl::Duration step, Done done) {
    ASSERT_TRUE(test::WaitFor([&] {
      if (done()) return true;
      clock_.Advance(step);
      return false;
    }));
  }
  test::TestSegment Segment(uint64_t epoch, uint64_t number, int reports) {
    test::TestSegment segment({epoch, number}, clock_.Now());
    for (int i = 0; i < reports; ++i) segment.Add(static_cast<double>(number) * 1000 + i);
    return segment;
  }

  test::FakeClock clock_;
  test::ForgetfulFileSystem files_;
  JournalOptions options_{.dir = "/data/journal"};
  std::shared_ptr<test::AckRecorder> acks_ = std::make_shared<test::AckRecorder>();
  std::unique_ptr<Journal> journal_;
};

}  // namespace fleet::collector
