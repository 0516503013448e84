#include "agent/checks/disk_forecast.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace fleet::agent {
namespace {

constexpr double kMib = 1048576;
constexpr int64_t kUnknown = -1;
constexpr int kDay = 24;
/// Of a day's hours, how many must be known: an agent restarted now and then still has days.
constexpr int kDayHoursMin = 18;
/// How many hours must be known before anything is usual: two nights.
constexpr int kUsualHoursMin = 42;
/// Below this share of used space nothing is in a hurry, whatever is being copied.
constexpr double kLeakUsedRatioMin = 0.60;
/// How far below its usual low the space must be, as a share of the size.
constexpr double kLeakMarginRatio = 0.02;
/// How long the leak itself may have gone on without being taken for usual.
constexpr int kLeakHours = 6;
/// A leak loses space in each of these windows; what is lost in one only is a file made at once.
constexpr absl::Duration kLeakWindow = absl::Minutes(2);
constexpr int kLeakWindows = 3;

}  // namespace

void SpaceHistory::Add(absl::Time now, double available, double size) {
  const int64_t hour = absl::ToInt64Hours(now - absl::UnixEpoch());
  const auto mib = static_cast<int64_t>(std::clamp(available / kMib, 0.0, 1e15));
  const auto size_mib = static_cast<int64_t>(std::clamp(size / kMib, 0.0, 1e15));
  if (size_mib != size_mib_ || hour < last_hour_ - 1) hours_.clear();
  size_mib_ = size_mib;
  if (hours_.empty() || hour - last_hour_ >= kHours) {
    hours_ = {mib};
    last_hour_ = hour;
    return;
  }
  for (; last_hour_ < hour; ++last_hour_) hours_.push_back(kUnknown);
  while (hours_.size() > kHours) hours_.pop_front();
  int64_t& lowest = hours_.back();
  lowest = lowest == kUnknown ? mib : std::min(lowest, mib);
}

std::optional<double> SpaceHistory::DayLow(int days) const {
  const auto size = static_cast<int>(hours_.size());
  const int end = size - days * kDay;
  if (end - kDay < 0) return std::nullopt;
  int known = 0;
  int64_t lowest = INT64_MAX;
  for (int i = end - kDay; i < end; ++i) {
    if (hours_[static_cast<size_t>(i)] == kUnknown) continue;
    ++known;
    lowest = std::min(lowest, hours_[static_cast<size_t>(i)]);
  }
  if (known < kDayHoursMin) return std::nullopt;
  return static_cast<double>(lowest) * kMib;
}

std::optional<double> SpaceHistory::BytesPerDay() const {
  const std::optional<double> today = DayLow(0);
  if (!today) return std::nullopt;
  std::vector<double> rates;
  std::optional<double> last_day;
  for (int days = 1; days * kDay + kDay <= kHours; ++days) {
    const std::optional<double> then = DayLow(days);
    if (!then) continue;
    rates.push_back((*then - *today) / days);
    if (days == 1) last_day = rates.back();
  }
  if (!last_day) return std::nullopt;
  std::sort(rates.begin(), rates.end());
  return std::min(*last_day, rates[(rates.size() - 1) / 2]);
}

std::optional<SpaceHistory::Low> SpaceHistory::LowWater() const {
  std::optional<Low> low;
  const size_t begin = hours_.size() > kDay ? hours_.size() - kDay : 0;
  for (size_t i = begin; i < hours_.size(); ++i) {
    const double bytes = static_cast<double>(hours_[i]) * kMib;
    if (hours_[i] == kUnknown || (low && low->bytes < bytes)) continue;
    low = Low{bytes, absl::Hours(static_cast<int64_t>(hours_.size() - 1 - i))};
  }
  return low;
}

std::optional<double> SpaceHistory::UsualLowWater(int hours) const {
  int known = 0;
  int64_t lowest = INT64_MAX;
  for (size_t i = 0; i + static_cast<size_t>(hours) < hours_.size(); ++i) {
    if (hours_[i] == kUnknown) continue;
    ++known;
    lowest = std::min(lowest, hours_[i]);
  }
  if (known < kUsualHoursMin) return std::nullopt;
  return static_cast<double>(lowest) * kMib;
}

std::string SpaceHistory::Format() const {
  return absl::StrCat(size_mib_, " ", last_hour_, " ", absl::StrJoin(hours_, ","));
}

SpaceHistory SpaceHistory::Parse(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  SpaceHistory history;
  if (words.size() != 3 || !absl::SimpleAtoi(words[0], &history.size_mib_) ||
      !absl::SimpleAtoi(words[1], &history.last_hour_) || history.size_mib_ < 0 ||
      history.last_hour_ < 0 || history.last_hour_ > INT32_MAX) {
    return {};
  }
  for (const absl::string_view word : absl::StrSplit(words[2], ',')) {
    int64_t mib = 0;
    if (!absl::SimpleAtoi(word, &mib) || mib < kUnknown || history.hours_.size() == kHours) {
      return {};
    }
    history.hours_.push_back(mib);
  }
  return history;
}

void RecentSpace::Add(absl::Time now, double available) {
  if (!points_.empty() &&
      (now < points_.back().time || now - points_.back().time > absl::Hours(1))) {
    points_.clear();
  }
  if (!points_.empty() && now - points_.back().time < absl::Seconds(30)) return;
  points_.push_back({now, available});
  while (points_.size() > 2 && now - points_[1].time >= kLeakWindow * kLeakWindows)
    points_.pop_front();
}

std::optional<double> RecentSpace::AvailableBefore(absl::Duration age) const {
  for (auto point = points_.rbegin(); point != points_.rend(); ++point) {
    if (points_.back().time - point->time >= age) return point->available;
  }
  return std::nullopt;
}

std::optional<double> RecentSpace::BytesPerSecond() const {
  std::optional<double> slowest;
  for (int window = 0; window < kLeakWindows; ++window) {
    const std::optional<double> end = AvailableBefore(kLeakWindow * window);
    const std::optional<double> begin = AvailableBefore(kLeakWindow * (window + 1));
    if (!end || !begin) return std::nullopt;
    const double rate = (*begin - *end) / absl::ToDoubleSeconds(kLeakWindow);
    slowest = std::min(slowest.value_or(rate), rate);
  }
  return slowest;
}

SpaceForecast ForecastSpace(const SpaceHistory& history, const RecentSpace& recent,
                            double available, double size, double used_ratio,
                            const DiskOptions& options) {
  SpaceForecast forecast;
  // Less than a hundredth of a percent a day is noise.
  const double daily = history.BytesPerDay().value_or(0);
  const auto low = history.LowWater();
  if (low && daily > size * 1e-4) {
    // The line goes on falling from where it last touched.
    forecast.full_in =
        std::max(absl::ZeroDuration(), absl::Hours(24) * (low->bytes / daily) - low->age);
  }
  const double rate = recent.BytesPerSecond().value_or(0);
  if (rate <= 0) return forecast;
  const absl::Duration soon = absl::Seconds(available / rate);
  const std::optional<double> usual = history.UsualLowWater(kLeakHours);
  // Below the usual, and below where its growth takes it by now.
  const double mark = usual.value_or(0) - std::max(0.0, daily) - size * kLeakMarginRatio;
  const bool unusual = usual ? used_ratio >= kLeakUsedRatioMin && available < mark
                             : used_ratio >= options.warn_ratio;
  if (unusual && soon <= options.full_within_crit) {
    forecast.leak = true;
    forecast.full_in = std::min(forecast.full_in, soon);
  }
  return forecast;
}

}  // namespace fleet::agent
