#include "agent/backoff.h"

#include <algorithm>

namespace fleet::agent {

absl::Duration Backoff::Between(absl::Duration least, absl::Duration most) {
  return least + (most - least) * std::uniform_real_distribution<double>(0, 1)(random_);
}

absl::Duration Backoff::Next(const absl::Status& end, bool welcomed, absl::Duration life) {
  if (IsRefusal(end)) return Between(kRefusedMin, kRefusedMax);
  if (welcomed) {
    window_ = life >= kHealthyTime ? kWindowLost : std::max(window_, kWindowLost);
  }
  const absl::Duration pause = Between(absl::ZeroDuration(), window_);
  window_ = std::min(window_ * 2, kWindowMax);
  return pause;
}

}  // namespace fleet::agent
