#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collector/remote_write/cursor.h"
#include "collector/remote_write/receiver.h"
#include "collector/self_metrics.h"
#include "collector/state.h"

namespace fleet::collector {

/// Sends the journal to every configured receiver, each by a thread of its own and none waiting for
/// another. Thread-safe.
class RemoteWrite {
 public:
  /// A receiver that takes nothing for so long is worth a line in `fleetctl status`.
  static constexpr absl::Duration kFailingLong = absl::Minutes(2);
  /// One that is so far behind, too: longer than a host's newer samples wait for its older.
  static constexpr absl::Duration kBehindLong = absl::Minutes(15);

  /// What it works with. Each must outlive it.
  struct Parts {
    Clock& clock;
    const SegmentSource& source;
    FleetState& state;
    CursorStore& cursors;
  };

  RemoteWrite(const std::vector<ReceiverOptions>& receivers, const Parts& parts);
  /// Stops: requests under way are given up, to be repeated by the next start.
  ~RemoteWrite();

  /// Sets the metrics of every receiver; a source of SelfMetrics.
  void SetMetrics(SelfMetrics& metrics) const;
  /// What is wrong, in words for `fleetctl status`.
  void AddNotes(std::vector<std::string>& notes) const;

  std::vector<ReceiverStats> stats() const;

 private:
  struct Sender;

  Clock& clock_;
  SeriesTables tables_;
  SeriesContext context_;
  std::vector<std::unique_ptr<Sender>> senders_;
};

/// The line for one receiver; empty when all is well.
std::string ReceiverNote(const std::string& name, const ReceiverStats& stats, absl::Time now);

}  // namespace fleet::collector
