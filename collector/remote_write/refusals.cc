#include "collector/remote_write/refusals.h"

namespace fleet::collector {

void KnownRefusals::Floor::Raise(int64_t to_ms, DropReason why, absl::Time now) {
  if (!Believed(now)) time_ms = INT64_MIN;
  if (to_ms >= time_ms) reason = why;
  time_ms = std::max(time_ms, to_ms);
  until = now + kBelieved;
}

bool KnownRefusals::Learn(const Batch& batch, const Batch::Item& item, DropReason reason,
                          absl::Time now) {
  const bool of_time = reason == DropReason::kOutOfBounds || reason == DropReason::kTooOld ||
                       reason == DropReason::kOutOfOrder;
  if (!of_time) return false;
  const int64_t time_ms = batch.time_ms(item);
  const bool far_behind =
      newest_ms_ != INT64_MIN && time_ms < newest_ms_ - absl::ToInt64Milliseconds(kFarBehind);
  bool learned = false;
  if (reason == DropReason::kOutOfBounds || (reason == DropReason::kTooOld && far_behind)) {
    all_.Raise(time_ms, reason, now);
    learned = true;
  }
  if (batch.taken_until_ms(item) > time_ms) {
    late_.Raise(time_ms, reason, now);
    learned = true;
  }
  return learned;
}

bool KnownRefusals::Refuses(const Batch& batch, const Batch::Item& item, absl::Time now,
                            DropReason& reason) const {
  const int64_t time_ms = batch.time_ms(item);
  if (all_.Covers(time_ms, now)) {
    reason = all_.reason;
    return true;
  }
  if (late_.Covers(time_ms, now) && batch.taken_until_ms(item) > time_ms) {
    reason = late_.reason;
    return true;
  }
  return false;
}

bool KnownRefusals::MayRefuse(const Batch& batch, absl::Time now) const {
  return all_.Covers(batch.oldest_ms(), now) || late_.Covers(batch.oldest_ms(), now);
}

}  // namespace fleet::collector
