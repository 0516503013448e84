#include "agent/scheduler.h"

#include <atomic>
#include <functional>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"
#include "tests/support/matchers.h"
#include "tests/support/process.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeClock;
using ::fleet::test::WaitFor;

/// A check that does what a test tells it to.
class FakeCheck final : public Check {
 public:
  explicit FakeCheck(std::function<absl::Status(CheckRun&)> collect)
      : collect_(std::move(collect)) {}
  absl::Span<const MetricDesc> metrics() const override { return {}; }
  absl::Status Collect(CheckRun& run) override { return collect_(run); }

 private:
  std::function<absl::Status(CheckRun&)> collect_;
};

class SchedulerTest : public ::testing::Test {
 protected:
  void Add(const std::string& name, std::function<absl::Status(CheckRun&)> collect,
           absl::Duration interval = absl::Seconds(10)) {
    store_.Load(name);
    checks_.push_back({name, interval, absl::Seconds(2), false, "",
                       std::make_unique<FakeCheck>(std::move(collect))});
  }

  void Start() {
    scheduler_ =
        std::make_unique<Scheduler>(std::move(checks_), store_, clock_,
                                    Scheduler::Hooks{[this](Report report) {
                                                       if (deliver_) deliver_(report);
                                                       MutexLock lock(mutex_);
                                                       reports_.push_back(std::move(report));
                                                     },
                                                     [](const std::string&, std::vector<Watch>) {},
                                                     [this] { ++beats_; }, absl::Seconds(15),

                                                     [this] {
                                                       MutexLock lock(mutex_);
                                                       flushed_.push_back(reports_.size());
                                                     }});
    scheduler_->Start();
  }

  size_t Count(const std::string& check) {
    MutexLock lock(mutex_);
    size_t count = 0;
    for (const Report& report : reports_) count += report.check == check ? 1 : 0;
    return count;
  }
  Report Last(const std::string& check) {
    MutexLock lock(mutex_);
    Report last;
    for (const Report& report : reports_) {
      if (report.check == check) last = report;
    }
    return last;
  }

  /// Until a test lets it go on; the fixture's, because hung runs outlive the test's variables.
  void Hang() {
    WaitFor([this] { return release_.load(); }, absl::Seconds(60));
  }

  void TearDown() override { release_ = true; }

  std::atomic<bool> release_ = false;
  FakeClock clock_;
  MemoryStore store_{"", false, clock_};
  std::vector<ScheduledCheck> checks_;
  std::function<void(const Report&)> deliver_;
  std::atomic<int> beats_ = 0;
  Mutex mutex_;
  std::vector<Report> reports_;
  std::vector<size_t> flushed_;  // how many reports there were
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, RunsAtOnceAndThenOnEachTick) {
  Add("a", [](CheckRun&) { return absl::OkStatus(); });
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 1; }));
  clock_.Advance(absl::Seconds(9));
  clock_.Advance(absl::Seconds(1));
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 2; }));
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 3; }));
}

TEST_F(SchedulerTest, ALeaderThatWakesLateIsWaitedFor) {
  Add("a", [](CheckRun&) { return absl::OkStatus(); });
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 1; }));
  // The tick, and the time when the lookout looks, pass at once for both.
  clock_.Advance(absl::Seconds(11));
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 2; }));
}

TEST_F(SchedulerTest, ATriggerDoesNotWaitForTheInterval) {
  Add("a", [](CheckRun&) { return absl::OkStatus(); });
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 1; }));
  clock_.Advance(absl::Seconds(1));
  scheduler_->Trigger("a");
  ASSERT_TRUE(WaitFor([&] { return Count("a") == 2; }));
}

TEST_F(SchedulerTest, AStuckCheckDelaysNoOtherAndIsNotStartedTwice) {
  std::atomic<int> starts = 0;
  Add("hung", [&](CheckRun&) {
    ++starts;
    Hang();
    return absl::OkStatus();
  });
  Add("fine", [](CheckRun&) { return absl::OkStatus(); });
  Start();
  ASSERT_TRUE(WaitFor([&] { return starts == 1; }));
  clock_.Advance(absl::Milliseconds(50));
  ASSERT_TRUE(WaitFor([&] { return Count("fine") == 1; }));
  clock_.Advance(absl::Seconds(3));
  ASSERT_TRUE(WaitFor([&] { return Count("hung") == 1; }));
  EXPECT_EQ(Last("hung").verdict, Verdict::kUnknown);
  EXPECT_EQ(Last("hung").unknown, UnknownKind::kStuck);
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(WaitFor([&] { return Count("fine") == 2 && Count("hung") == 2; }));
  EXPECT_EQ(starts, 1);

  release_ = true;
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return starts == 2 && Last("hung").verdict == Verdict::kOk;
  }));
}

TEST_F(SchedulerTest, TheReportsOfATickAreFlushedOnce) {
  for (const std::string name : {"a", "b", "c"}) {
    Add(name, [](CheckRun&) { return absl::OkStatus(); });
  }
  Start();
  const auto flushed = [this] {
    MutexLock lock(mutex_);
    return flushed_;
  };
  ASSERT_TRUE(WaitFor([&] { return flushed() == std::vector<size_t>{3}; }));
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(WaitFor([&] { return flushed() == std::vector<size_t>({3, 6}); }));
}

TEST_F(SchedulerTest, WhenAllThatMayRunHangTheyAreStuckAndTheRestRuns) {
  for (int i = 0; i < Scheduler::kRunningMax; ++i) {
    Add(absl::StrCat("hung", i), [&](CheckRun&) {
      Hang();
      return absl::OkStatus();
    });
  }
  Add("fine", [](CheckRun&) { return absl::OkStatus(); });
  Start();
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Milliseconds(50));
    return Count("fine") >= 1 && Count("hung0") >= 1 && Count("hung3") >= 1;
  }));
  EXPECT_EQ(Last("hung0").unknown, UnknownKind::kStuck);
  release_ = true;
}

TEST_F(SchedulerTest, ATriggeredCheckThatHangsDelaysNoOtherTrigger) {
  std::atomic<bool> hang = false;
  std::atomic<int> starts = 0;
  Add("raid", [&](CheckRun&) {
    ++starts;
    if (hang) Hang();
    return absl::OkStatus();
  });
  Add("disk", [](CheckRun&) { return absl::OkStatus(); });
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("raid") == 1 && Count("disk") == 1; }));
  clock_.Advance(absl::Seconds(1));
  hang = true;
  scheduler_->Trigger("raid");
  ASSERT_TRUE(WaitFor([&] { return starts == 2; }));
  scheduler_->Trigger("disk");
  // Long before the next tick, and before the run is stuck.
  clock_.Advance(2 * Scheduler::kQueueWaitMax);
  EXPECT_TRUE(WaitFor([&] { return Count("disk") == 2; }));
  EXPECT_EQ(Count("raid"), 1u);
  release_ = true;
}

TEST_F(SchedulerTest, WhatWasSeenOnceIsExpected) {
  std::atomic<bool> there = true;
  Add("redis",
      [&](CheckRun&) { return there ? absl::OkStatus() : absl::NotFoundError("nothing listens"); });
  Add("raid", [&](CheckRun&) { return absl::NotFoundError("no md"); });
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("redis") == 1 && Count("raid") == 1; }));
  EXPECT_TRUE(Last("raid").absent);
  there = false;
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(WaitFor([&] { return Count("redis") == 2 && Count("raid") == 2; }));
  EXPECT_EQ(Last("redis").verdict, Verdict::kCrit);
  EXPECT_TRUE(Last("raid").absent);
}

TEST_F(SchedulerTest, WhatIsNotThereIsLookedForMoreSeldom) {
  std::atomic<bool> there = false;
  Add(
      "busy", [](CheckRun&) { return absl::OkStatus(); }, absl::Seconds(3));
  Add(
      "raid", [&](CheckRun&) { return there ? absl::OkStatus() : absl::NotFoundError("no md"); },
      absl::Seconds(3));
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("busy") == 1 && Count("raid") == 1; }));
  // On the first tick of the others at which ten seconds have passed.
  EXPECT_EQ(Last("raid").interval, absl::Seconds(12));
  for (size_t ticks = 2; ticks <= 4; ++ticks) {
    clock_.Advance(absl::Seconds(3));
    ASSERT_TRUE(WaitFor([&] { return Count("busy") == ticks; }));
    EXPECT_EQ(Count("raid"), 1u);
  }
  there = true;
  clock_.Advance(absl::Seconds(3));
  ASSERT_TRUE(WaitFor([&] { return Count("raid") == 2; }));
  EXPECT_EQ(Last("raid").interval, absl::Seconds(3));
  clock_.Advance(absl::Seconds(3));
  ASSERT_TRUE(WaitFor([&] { return Count("raid") == 3; }));
}

TEST_F(SchedulerTest, BeatsThoughNothingIsDue) {
  Add(
      "rare", [](CheckRun&) { return absl::OkStatus(); }, absl::Hours(1));
  Start();
  ASSERT_TRUE(WaitFor([&] { return Count("rare") == 1 && beats_ > 0; }));
  for (int i = 0; i < 10; ++i) {
    const int before = beats_;
    ASSERT_TRUE(WaitFor([&] {
      clock_.Advance(absl::Seconds(15));
      return beats_ > before;
    }));
  }
  EXPECT_EQ(Count("rare"), 1U);
}

TEST_F(SchedulerTest, AHungSchedulingThreadStopsTheBeat) {
  const auto hangs = std::make_shared<std::atomic<bool>>(false);
  // Where the outbox or the spool would hang. A stuck report is the scheduling thread's to deliver.
  deliver_ = [this, hangs](const Report& report) {
    if (report.unknown != UnknownKind::kStuck) return;
    *hangs = true;
    Hang();
  };
  Add("hung", [&](CheckRun&) {
    Hang();
    return absl::OkStatus();
  });
  Start();
  // Another thread leads when the first has been busy for a moment.
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(Scheduler::kQueueWaitMax);
    return beats_ > 0;
  }));
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return hangs->load();
  }));
  const int before = beats_;
  for (int i = 0; i < 10; ++i) clock_.Advance(absl::Seconds(15));
  EXPECT_EQ(beats_, before);
  release_ = true;
  EXPECT_TRUE(WaitFor([&] { return beats_ > before; }));
}

TEST_F(SchedulerTest, AQueueThatNobodyServesStopsTheBeat) {
  constexpr int kHung = Scheduler::kRunningMax + Scheduler::kStuckMax;
  for (int i = 0; i <= kHung; ++i) {
    Add(absl::StrCat("hung", i), [this](CheckRun&) {
      Hang();
      return absl::OkStatus();
    });
  }
  Start();
  const auto stuck = [&] {
    int count = 0;
    for (int i = 0; i <= kHung; ++i) count += Count(absl::StrCat("hung", i)) > 0 ? 1 : 0;
    return count;
  };
  // One is left in the queue, and after a while everybody may know that it will stay there.
  ASSERT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return stuck() == kHung;
  }));
  const auto rounds = [&](size_t more) {
    const size_t before = Count("hung0");
    return WaitFor([&] {
      clock_.Advance(absl::Seconds(1));
      return Count("hung0") >= before + more;
    });
  };
  clock_.Advance(Scheduler::kQueueStallMax);
  ASSERT_TRUE(rounds(2));
  const int before = beats_;
  ASSERT_TRUE(rounds(3));
  EXPECT_EQ(beats_, before);
  release_ = true;
  EXPECT_TRUE(WaitFor([&] {
    clock_.Advance(absl::Seconds(1));
    return beats_ > before;
  }));
}

}  // namespace
}  // namespace fleet::agent
