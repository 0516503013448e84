// The spool with its own thread, used by several others at once; for TSan above all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/spool.h"
#include "tests/support/process.h"
#include "tests/support/spool_fixture.h"

namespace fleet::agent {
namespace {

using ::fleet::test::FakeReader;
using ::fleet::test::ForgetfulFileSystem;
using ::fleet::test::SpoolReport;
using ::fleet::test::WaitFor;

constexpr int kThreads = 3;
constexpr int kReports = 200;  // of each

/// A collector that takes by both lanes, losing the live one now and then.
class Taker {
 public:
  Taker(Spool& spool, size_t number)
      : spool_(spool),
        number_(number),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  bool HasAll() const {
    MutexLock lock(mutex_);
    return kept_.size() == kThreads * kReports;
  }

 private:
  void Run(const std::stop_token& stop) {
    for (int round = 0; !stop.stop_requested(); ++round) {
      spool_.OpenLive(number_);
      FakeReader live;
      for (int i = 0; i < 50; ++i) {
        while (auto batch = spool_.TakeLive(number_)) Keep(live, *batch, round % 3 != 0);
        std::this_thread::yield();
      }
      FakeReader reader;
      if (spool_.BacklogWaits(number_)) {
        spool_.OpenBacklog(number_);
        while (!spool_.BacklogDone(number_) && !stop.stop_requested()) {
          if (auto batch = spool_.TakeBacklog(number_)) Keep(reader, *batch, true);
          std::this_thread::yield();
        }
        spool_.CloseBacklog(number_);
      }
      spool_.CloseLive(number_);
    }
  }
  void Keep(FakeReader& reader, const Spool::Batch& batch, bool ack) {
    const std::vector<std::string> lines = reader.Take(batch);
    {
      MutexLock lock(mutex_);
      kept_.insert(lines.begin(), lines.end());
    }
    if (ack) spool_.Ack(number_, batch.segment, reader.next_index());
  }

  Spool& spool_;
  const size_t number_;
  mutable Mutex mutex_;
  std::set<std::string> kept_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

void RunAll(const std::string& directory) {
  ForgetfulFileSystem files;
  SpoolOptions options;
  options.directory = directory;
  options.collectors = {"a:1", "b:1"};
  options.epoch = 1;
  Spool spool(options, files, Clock::Real(), BootClock::Real());
  {
    Taker first(spool, 0);
    Taker second(spool, 1);
    std::vector<std::jthread> adders;
    for (int t = 0; t < kThreads; ++t) {
      adders.emplace_back([&spool, t] {
        for (int i = 0; i < kReports; ++i) {
          spool.Add(SpoolReport(absl::StrCat("check", t), i, absl::FromUnixSeconds(i)));
        }
      });
    }
    EXPECT_TRUE(WaitFor([&] { return first.HasAll() && second.HasAll(); }, absl::Seconds(60)));
  }
  EXPECT_EQ(spool.stats(0).dropped_reports, 0u);
}

TEST(SpoolThreadTest, WhatALiveStreamTookIsWrittenWithoutWaitingForMore) {
  ForgetfulFileSystem files;
  SpoolOptions options;
  options.directory = "/var/spool";
  options.collectors = {"a:1"};
  Spool spool(options, files, Clock::Real(), BootClock::Real());
  spool.OpenLive(0);
  for (int i = 0; i < 3; ++i) {
    const uint64_t bytes = files.bytes();
    // Each is urgent, hence due when it is taken.
    spool.Add(SpoolReport("load", i, absl::FromUnixSeconds(i),
                          i % 2 == 0 ? Verdict::kOk : Verdict::kWarn));
    EXPECT_TRUE(WaitFor([&] { return spool.TakeLive(0).has_value(); }));
    EXPECT_TRUE(WaitFor([&] { return files.bytes() > bytes; }, absl::Seconds(5)));
  }
}

TEST(SpoolThreadTest, WhatALiveStreamCannotTakeIsWrittenAllTheSame) {
  ForgetfulFileSystem files;
  SpoolOptions options;
  options.directory = "/var/spool";
  options.collectors = {"a:1"};
  Spool spool(options, files, Clock::Real(), BootClock::Real());
  spool.OpenLive(0);
  ASSERT_TRUE(WaitFor([&] { return !spool.pending(); }));
  spool.Add(SpoolReport("load", 1, absl::FromUnixSeconds(1)));
  spool.MissLive(0);
  EXPECT_TRUE(WaitFor([&] { return files.bytes() > 0; }, absl::Seconds(5)));
}

TEST(SpoolThreadTest, ManyAddAndTakeAtOnce) { RunAll("/var/spool"); }

TEST(SpoolThreadTest, ManyAddAndTakeAtOnceFromMemory) { RunAll(""); }

}  // namespace
}  // namespace fleet::agent
