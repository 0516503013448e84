#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "collector/remote_write/answer.h"
#include "collector/remote_write/batch.h"
#include "collector/remote_write/refusals.h"

namespace fleet::collector {

/// What became of samples.
struct SampleCounts {
  uint64_t sent = 0;
  uint64_t dropped[kDropReasons] = {};

  void Drop(DropReason reason, uint64_t count = 1) {
    dropped[static_cast<size_t>(reason)] += count;
  }
};

/// One batch on its way to one receiver: sent as a whole, and when that is refused in ever smaller
/// parts, the older first, until the samples that cannot be delivered are alone; those are dropped,
/// all others arrive. Not thread-safe.
class Delivery {
 public:
  /// A larger request is split before it is sent.
  static constexpr size_t kRequestBytesMax = 16 << 20;

  Delivery(Batch batch, std::shared_ptr<const HostLabels> host);

  /// Drops beforehand what `known` says will be refused.
  void Forego(const KnownRefusals& known, absl::Time now, SampleCounts& counts);
  bool done() const { return pieces_.empty(); }
  /// The next request, not compressed. Not when done. Empty when that request was too large and
  /// the next part is to be asked for.
  std::string Body(SampleCounts& counts);
  /// Samples of the request that Body made last.
  size_t samples() const;
  /// What the receiver said to it. kRetry changes nothing.
  void Apply(const Answer& answer, KnownRefusals& known, absl::Time now, SampleCounts& counts);

  const Batch& batch() const { return batch_; }

 private:
  struct Piece {
    bool whole = false;  // all of the batch; then no items
    std::vector<Batch::Item> items;
  };

  void Split();
  void Drop(DropReason reason, KnownRefusals* known, absl::Time now, SampleCounts& counts);
  int64_t NewestOf(const Piece& piece) const;

  const Batch batch_;
  const std::shared_ptr<const HostLabels> host_;
  std::deque<Piece> pieces_;
};

}  // namespace fleet::collector
