#pragma once

#include <cstdint>
#include <random>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace fleet::agent {

/// How long to wait before the next attempt at a stream: a random part of a window that grows
/// (full jitter), so that ten thousand agents that lost their collector at the same moment come
/// back one after the other: 5,000 within half a minute, and never all at once. Not thread-safe.
class Backoff {
 public:
  /// A collector that was not there yet, as at the start.
  static constexpr absl::Duration kWindowFirst = absl::Milliseconds(500);
  /// A collector that was there: every agent of the fleet has just lost it.
  static constexpr absl::Duration kWindowLost = absl::Seconds(8);
  static constexpr absl::Duration kWindowMax = absl::Seconds(16);
  /// Whom the collector refuses for who he is, it will refuse again until somebody acts.
  static constexpr absl::Duration kRefusedMin = absl::Seconds(30);
  static constexpr absl::Duration kRefusedMax = absl::Seconds(90);
  /// A stream that lived this long was healthy.
  static constexpr absl::Duration kHealthyTime = absl::Seconds(10);

  explicit Backoff(uint64_t seed) : random_(seed) {}

  /// The pause after a stream that ended with `end`; `welcomed`: the collector had said welcome,
  /// and the stream had lived for `life`.
  absl::Duration Next(const absl::Status& end, bool welcomed, absl::Duration life);

  static bool IsRefusal(const absl::Status& end) {
    return absl::IsUnauthenticated(end) || absl::IsPermissionDenied(end);
  }

 private:
  absl::Duration Between(absl::Duration least, absl::Duration most);

  std::mt19937_64 random_;
  absl::Duration window_ = kWindowFirst;
};

}  // namespace fleet::agent
