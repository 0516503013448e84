#pragma once

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Lets each key through `per_second` times a second, and `burst` times at once. Thread-safe.
class RateLimiter {
 public:
  /// Keys that are told apart; more share one allowance, so that many addresses cost no memory.
  static constexpr size_t kKeysMax = 10'000;

  RateLimiter(double per_second, double burst, Clock& clock)
      : per_second_(per_second), burst_(burst), clock_(clock) {}

  /// Whether `key` may once more; if so it is taken from its allowance.
  bool Allow(absl::string_view key) {
    const SteadyTime now = clock_.SteadyNow();
    MutexLock lock(mutex_);
    if (buckets_.size() >= kKeysMax && !buckets_.contains(key)) {
      absl::erase_if(buckets_, [&](const auto& entry) {
        return Level(entry.second, now) >= burst_;  // as good as new
      });
      if (buckets_.size() >= kKeysMax) key = "";
    }
    Bucket& bucket = buckets_.try_emplace(key, Bucket{burst_, now}).first->second;
    const double level = Level(bucket, now);
    bucket = {level, now};
    if (level < 1) return false;
    bucket.level -= 1;
    return true;
  }

 private:
  struct Bucket {
    double level;
    SteadyTime at;
  };

  double Level(const Bucket& bucket, SteadyTime now) const {
    return std::min(burst_, bucket.level + absl::ToDoubleSeconds(now - bucket.at) * per_second_);
  }

  const double per_second_;
  const double burst_;
  Clock& clock_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
