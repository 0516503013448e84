#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "collector/remote_write/answer.h"
#include "collector/remote_write/batch.h"

namespace fleet::collector {

/// What one receiver is known to refuse because of time, so that the samples of an old segment need
/// not each be refused alone. Two things follow from one refused sample:
/// - it was out of bounds, or too old and far behind the newest: then nothing older is taken
/// either,
///   of whatever series;
/// - the receiver has a later sample of its series: then it takes nothing as old out of order.
/// Believed for ten minutes only, as receivers are configured anew. Not thread-safe.
class KnownRefusals {
 public:
  static constexpr absl::Duration kBelieved = absl::Minutes(10);
  /// A TSDB's head takes new series half a block (one hour) behind its newest sample, even where it
  /// refuses the same time of a series that it knows.
  static constexpr absl::Duration kFarBehind = absl::Hours(3);

  /// The receiver refused this one sample. Returns whether anything follows for others.
  bool Learn(const Batch& batch, const Batch::Item& item, DropReason reason, absl::Time now);
  /// The receiver took samples up to `newest_ms`.
  void Taken(int64_t newest_ms) { newest_ms_ = std::max(newest_ms_, newest_ms); }

  /// Whether a sample would be refused, and why.
  bool Refuses(const Batch& batch, const Batch::Item& item, absl::Time now,
               DropReason& reason) const;
  /// Whether any of the batch's samples might be.
  bool MayRefuse(const Batch& batch, absl::Time now) const;

 private:
  struct Floor {
    int64_t time_ms = INT64_MIN;
    DropReason reason = DropReason::kTooOld;
    absl::Time until = absl::InfinitePast();
    void Raise(int64_t to_ms, DropReason why, absl::Time now);
    /// A clock that was set back makes nobody be believed for longer.
    bool Believed(absl::Time now) const { return now < until && until <= now + kBelieved; }
    bool Covers(int64_t sample_ms, absl::Time now) const {
      return sample_ms <= time_ms && Believed(now);
    }
  };
  Floor all_;   // of every series
  Floor late_;  // of series of which the receiver has later samples
  int64_t newest_ms_ = INT64_MIN;
};

}  // namespace fleet::collector
