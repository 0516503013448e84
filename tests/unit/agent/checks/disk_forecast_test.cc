#include "agent/checks/disk_forecast.h"

#include <cmath>
#include <functional>

#include "tests/support/matchers.h"

namespace fleet::agent {
namespace {

constexpr double kGb = 1e9;
const absl::Time kStart = absl::FromUnixSeconds(1'700'006'400);  // midnight

/// Since the start.
double Days(absl::Time time) { return absl::FDivDuration(time - kStart, absl::Hours(24)); }

/// A disk seen every minute, whose free space is a function of the days since the start.
class SimulatedDisk {
 public:
  SimulatedDisk(double size, std::function<double(double)> available)
      : size_(size), available_(std::move(available)) {}

  /// Lives until `day`. Returns the worst that was forecast on the way.
  SpaceForecast LiveUntil(double day) {
    SpaceForecast worst;
    for (; now_ < kStart + absl::Hours(24) * day; now_ += absl::Minutes(1)) {
      const double available = available_(Days(now_));
      history_.Add(now_, available, size_);
      recent_.Add(now_, available);
      forecast_ =
          ForecastSpace(history_, recent_, available, size_, 1 - available / size_, DiskOptions());
      worst.full_in = std::min(worst.full_in, forecast_.full_in);
      if (forecast_.leak && !worst.leak) leak_seen_ = now_;
      worst.leak = worst.leak || forecast_.leak;
    }
    return worst;
  }

  const SpaceForecast& forecast() const { return forecast_; }
  /// When a leak was first called one, in days since the start.
  double leak_day() const { return Days(leak_seen_); }

 private:
  const double size_;
  const std::function<double(double)> available_;
  absl::Time now_ = kStart;
  absl::Time leak_seen_ = absl::InfiniteFuture();
  SpaceHistory history_;
  RecentSpace recent_;
  SpaceForecast forecast_;
};

/// Between 02:00 and 03:00 `bytes` are written bit by bit; at 04:00 they go.
double Nightly(double day, double bytes) {
  const double hour = (day - std::floor(day)) * 24;
  if (hour < 2 || hour >= 4) return 0;
  return bytes * std::min(1.0, hour - 2);
}

TEST(SpaceForecastTest, ANightlyJobRaisesNoAlarm) {
  SimulatedDisk disk(200 * kGb, [](double day) { return 60 * kGb - Nightly(day, 20 * kGb); });
  const SpaceForecast worst = disk.LiveUntil(21);
  EXPECT_FALSE(worst.leak);
  EXPECT_EQ(worst.full_in, absl::InfiniteDuration());
}

TEST(SpaceForecastTest, ANightlyJobOfVaryingSizeRaisesNoAlarm) {
  SimulatedDisk disk(200 * kGb, [](double day) {
    return 60 * kGb - Nightly(day, (18 + 3 * std::sin(7 * std::floor(day))) * kGb);
  });
  const SpaceForecast worst = disk.LiveUntil(28);
  EXPECT_FALSE(worst.leak);
  EXPECT_GT(worst.full_in, absl::Hours(24 * 5));
}

TEST(SpaceForecastTest, SteadyGrowthIsFullWhenItsPeaksAre) {
  // 5 GB a day below a nightly 20 GB: 100 GB are reached on day 16.
  SimulatedDisk disk(200 * kGb,
                     [](double day) { return (100 - 5 * day) * kGb - Nightly(day, 20 * kGb); });
  const SpaceForecast worst = disk.LiveUntil(10);
  EXPECT_FALSE(worst.leak);
  EXPECT_NEAR(absl::ToDoubleHours(disk.forecast().full_in) / 24, 6, 0.2);
}

TEST(SpaceForecastTest, GrowthIsKnownAfterTwoDays) {
  SimulatedDisk disk(200 * kGb, [](double day) { return (50 - 5 * day) * kGb; });
  disk.LiveUntil(1.9);
  EXPECT_EQ(disk.forecast().full_in, absl::InfiniteDuration());
  disk.LiveUntil(3);
  EXPECT_NEAR(absl::ToDoubleHours(disk.forecast().full_in) / 24, 7, 0.2);
}

TEST(SpaceForecastTest, OneLargeCopyIsNoTrend) {
  SimulatedDisk disk(1000 * kGb, [](double day) { return (day < 10 ? 400 : 300) * kGb; });
  disk.LiveUntil(10);
  const SpaceForecast worst = disk.LiveUntil(20);
  EXPECT_FALSE(worst.leak);
  EXPECT_GT(worst.full_in, absl::Hours(24 * 5));
  EXPECT_EQ(disk.forecast().full_in, absl::InfiniteDuration());
}

TEST(SpaceForecastTest, ALeakIsCritWithinMinutesOnceBelowTheUsual) {
  // From noon of day 7 on, 20 MB/s: a disk with 60 GB free is full in 50 minutes.
  SimulatedDisk disk(200 * kGb, [](double day) {
    const double leaked = day < 7.5 ? 0 : (day - 7.5) * 86400 * 0.02 * kGb;
    return std::max(0.0, 60 * kGb - Nightly(day, 20 * kGb) - leaked);
  });
  EXPECT_FALSE(disk.LiveUntil(7.5).leak);
  const SpaceForecast worst = disk.LiveUntil(7.5 + 50.0 / 1440);
  EXPECT_TRUE(worst.leak);
  // 24 GB below 60 GB begins new ground: at 20 MB/s that is after 20 minutes, with 30 to go.
  EXPECT_LT(disk.leak_day(), 7.5 + 24.0 / 1440);
  EXPECT_LT(worst.full_in, absl::Minutes(30));
}

TEST(SpaceForecastTest, ALeakOfANewDiskIsSeenOnceItIsFullEnough) {
  SimulatedDisk disk(200 * kGb, [](double day) { return 60 * kGb - day * 86400 * 0.01 * kGb; });
  EXPECT_FALSE(disk.LiveUntil(0.01).leak);  // 74 % used, nothing known yet
  EXPECT_TRUE(disk.LiveUntil(0.05).leak);
}

TEST(SpaceHistoryTest, ReadsBackWhatItWrote) {
  SpaceHistory history;
  for (int hour = 0; hour < 300; hour += hour % 50 == 0 ? 5 : 1) {
    history.Add(kStart + absl::Hours(hour), 1e9 * hour, 1e12);
  }
  EXPECT_EQ(SpaceHistory::Parse(history.Format()), history);
  EXPECT_LT(history.Format().size(), 2000u);
  for (const char* text : {"", "x", "1 2", "1 2 x", "-1 2 3", "1 2 -2", "1 9999999999999 3"}) {
    EXPECT_EQ(SpaceHistory::Parse(text), SpaceHistory()) << text;
  }
}

TEST(SpaceHistoryTest, ForgetsWhenResizedOrTheClockGoesBack) {
  SpaceHistory history;
  for (int hour = 0; hour < 48; ++hour) history.Add(kStart + absl::Hours(hour), 5e9, 1e12);
  ASSERT_TRUE(history.BytesPerDay().has_value());
  SpaceHistory resized = history;
  resized.Add(kStart + absl::Hours(48), 5e9, 2e12);
  EXPECT_FALSE(resized.BytesPerDay().has_value());
  SpaceHistory back = history;
  back.Add(kStart, 5e9, 1e12);
  EXPECT_FALSE(back.BytesPerDay().has_value());
  SpaceHistory away = history;  // switched off for a month
  away.Add(kStart + absl::Hours(24 * 30), 5e9, 1e12);
  EXPECT_FALSE(away.BytesPerDay().has_value());
}

}  // namespace
}  // namespace fleet::agent
