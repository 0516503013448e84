#include "collector/probes/schedule.h"

#include <gtest/gtest.h>

#include <map>

namespace fleet::collector {
namespace {

using Key = ProbeSchedule::Key;

Key KeyOf(int i) { return {absl::StrCat("t", i), probe::IpFamily::kAny}; }

class ScheduleTest : public ::testing::Test {
 protected:
  SteadyTime At(double seconds) { return SteadyAfter(begin_, absl::Seconds(seconds)); }
  /// How many looks each tenth of a second begins in [from, to).
  std::vector<size_t> Run(double from, double to) {
    std::vector<size_t> counts;
    for (double t = from; t < to; t += 0.1) {
      const auto due = schedule_.TakeDue(At(t));
      counts.push_back(due.size());
      for (const auto& one : due) ++looks_[one.key];
    }
    return counts;
  }

  const SteadyTime begin_ = SteadyTime(std::chrono::hours(5));
  ProbeSchedule schedule_{1};
  std::map<Key, int> looks_;
};

TEST_F(ScheduleTest, SpreadsAThousandProbesOverThePeriod) {
  for (int i = 0; i < 1'000; ++i) schedule_.Add(KeyOf(i), absl::Seconds(30), false, At(0));
  Run(0, 60);
  looks_.clear();
  const std::vector<size_t> counts = Run(60, 360);
  const size_t most = *std::max_element(counts.begin(), counts.end());
  EXPECT_LE(most, 15u);  // 3.3 on average
  EXPECT_EQ(looks_.size(), 1'000u);
  for (const auto& [key, count] : looks_) {
    EXPECT_GE(count, 9);
    EXPECT_LE(count, 11);
  }
  EXPECT_EQ(schedule_.missed(), 0u);
}

TEST_F(ScheduleTest, DoesNotPileUpAfterAPause) {
  for (int i = 0; i < 1'000; ++i) schedule_.Add(KeyOf(i), absl::Seconds(30), false, At(0));
  Run(0, 60);
  // Ten minutes asleep.
  EXPECT_LE(schedule_.TakeDue(At(660)).size(), 300u);
  EXPECT_GT(schedule_.missed(), 600u);
  const std::vector<size_t> counts = Run(660.1, 760);
  EXPECT_LE(*std::max_element(counts.begin(), counts.end()), 15u);
}

TEST_F(ScheduleTest, LooksAtOnceAtWhatIsNew) {
  schedule_.Add(KeyOf(1), absl::Hours(1), true, At(0));
  EXPECT_EQ(schedule_.TakeDue(At(0)).size(), 1u);
  EXPECT_TRUE(schedule_.TakeDue(At(3'590)).empty());
  EXPECT_EQ(schedule_.TakeDue(At(3'601)).size(), 1u);
}

TEST_F(ScheduleTest, HurriesAndGoesOnFromThere) {
  schedule_.Add(KeyOf(1), absl::Seconds(60), true, At(0));
  schedule_.TakeDue(At(0));
  schedule_.Hurry(KeyOf(1), At(30));
  schedule_.Hurry(KeyOf(1), At(45));  // no earlier than what is due
  EXPECT_TRUE(schedule_.TakeDue(At(29.9)).empty());
  EXPECT_EQ(schedule_.TakeDue(At(30)).size(), 1u);
  EXPECT_TRUE(schedule_.TakeDue(At(88)).empty());
  EXPECT_EQ(schedule_.TakeDue(At(91)).size(), 1u);
}

TEST_F(ScheduleTest, ForgetsWhatIsRemovedAndKeepsWhatIsAddedAgain) {
  schedule_.Add(KeyOf(1), absl::Seconds(60), true, At(0));
  schedule_.TakeDue(At(0));
  schedule_.Add(KeyOf(1), absl::Seconds(60), true, At(1));
  EXPECT_TRUE(schedule_.TakeDue(At(1)).empty());
  schedule_.Add(KeyOf(1), absl::Seconds(15), true, At(2));
  EXPECT_EQ(schedule_.TakeDue(At(2)).size(), 1u);
  schedule_.Remove(KeyOf(1));
  EXPECT_FALSE(schedule_.next().has_value());
  EXPECT_TRUE(schedule_.TakeDue(At(1'000)).empty());
}

TEST_F(ScheduleTest, WhatIsDueSoonIsTakenTogether) {
  for (const auto& [key, period, due] :
       {std::tuple{1, 60, 10.0}, {2, 60, 10.05}, {3, 1, 10.03}, {4, 60, 10.2}}) {
    schedule_.Add(KeyOf(key), absl::Seconds(period), true, At(0));
    schedule_.Set(KeyOf(key), At(due));
  }
  // A tenth of a second after the first, but for that which may be late by a fiftieth of its
  // second.
  EXPECT_EQ(schedule_.next(), At(10.05));
  EXPECT_EQ(schedule_.TakeDue(At(10.05)).size(), 3u);
  schedule_.Remove(KeyOf(3));
  EXPECT_EQ(schedule_.next(), At(10.3));
}

TEST_F(ScheduleTest, SaysHowLateItIs) {
  schedule_.Add(KeyOf(1), absl::Seconds(60), true, At(0));
  const auto due = schedule_.TakeDue(At(0.25));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].lag, absl::Milliseconds(250));
}

}  // namespace
}  // namespace fleet::collector
