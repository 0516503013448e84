#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "collector/config.h"
#include "collector/event_feed.h"
#include "collector/events.h"
#include "collector/journal/journal.h"
#include "collector/remote_write/database_cursors.h"
#include "collector/remote_write/remote_write.h"
#include "collector/self_metrics.h"
#include "collector/state.h"
#include "common/clock.h"

namespace fleet::collector {

/// What a collector with a data_dir keeps, put together: the journal, the feed of events and the
/// senders of remote-write, with what they tell metrics and status. Thread-safe.
class Keep {
 public:
  /// A start waits so long for the hosts of the journal to be known; the rest comes behind.
  static constexpr absl::Duration kRestoreWait = absl::Seconds(2);

  /// Whether a host is not to be known again at the start.
  using IsRetired = std::function<bool(absl::string_view)>;

  /// Opens the journal below `options.data_dir` and makes its hosts known to `state`. Everything
  /// given must outlive it. Errors: why the directory cannot be used.
  static absl::StatusOr<std::unique_ptr<Keep>> Open(const CollectorOptions& options,
                                                    FleetState& state, EventLog& events,
                                                    IsRetired is_retired, Clock& clock);
  ~Keep();

  Journal& journal() { return *journal_; }
  EventFeed& feed() { return feed_; }

  void SetMetrics(SelfMetrics& metrics);
  /// What the disk refuses, for the status.
  void AddNotes(std::vector<std::string>& notes) const;

 private:
  Keep(FleetState& state, EventLog& events, IsRetired is_retired, Clock& clock);
  void Restore();
  absl::Status StartRemoteWrite(const CollectorOptions& options);

  FleetState& state_;
  const IsRetired is_retired_;
  Clock& clock_;
  std::unique_ptr<Journal> journal_;
  EventFeed feed_;
  std::unique_ptr<CursorStore> cursors_;
  std::unique_ptr<RemoteWrite> remote_write_;  // null: no receivers
  std::jthread restorer_;                      // last: it uses all of the above
};

}  // namespace fleet::collector
