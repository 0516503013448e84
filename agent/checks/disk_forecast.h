#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/options.h"

namespace fleet::agent {

/// The lowest available space of each of the last hours of one filesystem: what its time-to-full is
/// judged by. The low-water line, the lowest of a whole day, does not move for a job that fills the
/// disk every night and cleans up: only what stays counts.
class SpaceHistory {
 public:
  static constexpr int kHours = 8 * 24;

  /// Notes `available` of `size` bytes at `now`. A filesystem that was resized, or a clock that
  /// went back by more than an hour, begins anew.
  void Add(absl::Time now, double available, double size);

  /// Bytes a day by which the low-water line falls; 0 or less when it does not. The slower of the
  /// last day's and of the typical day's, so that one large copy is no trend. Nothing before two
  /// days are known.
  std::optional<double> BytesPerDay() const;

  struct Low {
    double bytes;
    absl::Duration age;  // when it was so low last, to the hour
  };
  /// The lowest of the last 24 hours; nothing when nothing is known.
  std::optional<Low> LowWater() const;
  /// The lowest of all hours before the last `hours`; nothing before two nights of them are known.
  std::optional<double> UsualLowWater(int hours) const;

  /// One short line of text and back; unreadable text is an empty history.
  std::string Format() const;
  static SpaceHistory Parse(absl::string_view text);
  bool operator==(const SpaceHistory&) const = default;

 private:
  /// The lowest of the 24 hours that ended `days` days ago; nothing unless most are known.
  std::optional<double> DayLow(int days) const;

  int64_t last_hour_ = 0;  // hours since 1970 of hours_.back()
  int64_t size_mib_ = 0;
  std::deque<int64_t> hours_;  // MiB, oldest first; -1: unknown
};

/// Available space minute by minute, for leaks that fill a disk within hours. Not kept over
/// restarts.
class RecentSpace {
 public:
  void Add(absl::Time now, double available);
  /// Bytes a second lost, lasting: the slowest of three windows of two minutes. Nothing before six
  /// minutes are known; 0 or less when nothing is lost.
  std::optional<double> BytesPerSecond() const;

 private:
  struct Point {
    absl::Time time;
    double available;
  };
  /// At the newest point that is this much older than the last.
  std::optional<double> AvailableBefore(absl::Duration age) const;
  std::deque<Point> points_;
};

struct SpaceForecast {
  absl::Duration full_in = absl::InfiniteDuration();
  /// It fills within hours, lower than it has usually been: not the job of every night.
  bool leak = false;
};

/// When the filesystem is full if it goes on so. `used_ratio` as df counts.
SpaceForecast ForecastSpace(const SpaceHistory& history, const RecentSpace& recent,
                            double available, double size, double used_ratio,
                            const DiskOptions& options);

}  // namespace fleet::agent
