#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/database.h"
#include "collector/probes/probe_metrics.h"
#include "collector/probes/probes.h"
#include "common/mutex.h"
#include "fleet/v1/probe_store.pb.h"

namespace fleet::collector {

/// What a probe of collector.yaml has that is not written there.
struct KnownProbe {
  std::string pulse_key;
  absl::Time created_at;
};

/// Whose looks, by which vantage, in which hour.
struct CountKey {
  std::string token;
  std::string vantage;
  absl::Time hour;
  bool operator<(const CountKey& other) const {
    return std::tie(token, vantage, hour) < std::tie(other.token, other.vantage, other.hour);
  }
};

/// What one commit writes.
struct ProbeBatch {
  std::map<std::string, Downtime> downtimes;  // by id: as they are now
  std::vector<ProbeEvent> events;
  std::map<std::string, v1::StoredState> states;  // by token
  std::map<CountKey, ProbeMetrics> counts;        // to be added

  bool empty() const {
    return downtimes.empty() && events.empty() && states.empty() && counts.empty();
  }
};

/// One row of what was counted.
struct CountRow {
  std::string vantage;
  absl::Time start;  // of its hour, day or month
  ProbeMetrics metrics;
};

/// data_dir/probes.db. A commit is on the disk when the call returns. Thread-safe; every call may
/// wait for the disk. Errors: the database's.
class ProbeStore {
 public:
  // How long what is kept: looks by the hour, then by the day, then by the month.
  static constexpr absl::Duration kHours = absl::Hours(24 * 2);
  static constexpr absl::Duration kDays = absl::Hours(24 * 40);
  static constexpr absl::Duration kMonths = absl::Hours(24 * 366 * 5);
  static constexpr absl::Duration kDowntimes = absl::Hours(24 * 366 * 5);
  static constexpr absl::Duration kEvents = absl::Hours(24 * 60);
  static constexpr int64_t kEventsMax = 200'000;

  /// Empty path: in memory.
  static absl::StatusOr<std::unique_ptr<ProbeStore>> Open(const std::string& path);

  /// Those of the API, in the order of their making, without `spec`.
  absl::StatusOr<std::vector<ProbeCheck>> Checks();
  absl::Status PutCheck(const ProbeCheck& check);
  /// With all its history.
  absl::Status RemoveCheck(absl::string_view token);
  absl::StatusOr<std::map<std::string, KnownProbe>> Known();  // by token
  absl::Status PutKnown(const std::map<std::string, KnownProbe>& known);

  /// All or nothing. Nobody reads between the commit and the end of `done`.
  absl::Status Commit(const ProbeBatch& batch, const std::function<void()>& done = nullptr);

  absl::StatusOr<std::map<std::string, v1::StoredState>> States();
  absl::StatusOr<std::vector<Downtime>> Downtimes(absl::string_view token, size_t offset,
                                                  size_t limit);
  absl::StatusOr<std::optional<Downtime>> FindDowntime(absl::string_view id);
  /// Those that have not ended by `since`, oldest first.
  absl::StatusOr<std::vector<Downtime>> DowntimesSince(absl::Time since);
  absl::StatusOr<std::vector<DownSpan>> DownSpans(absl::string_view token, absl::Time since);
  /// In [from, to), oldest first; an empty token: of all, then `row` is told whose it is. While
  /// `last` runs nothing is committed.
  absl::Status Counts(absl::string_view token, absl::Time from, absl::Time to,
                      const std::function<void(const std::string& token, CountRow row)>& row,
                      const std::function<void()>& last = nullptr);
  /// Those after `after`, oldest first; of `view` only the status.
  absl::StatusOr<std::vector<ProbeEvent>> Events(int64_t after, size_t limit);

  /// Folds hours into days and days into months, and drops what is too old.
  absl::Status Trim(absl::Time now);

 private:
  explicit ProbeStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  absl::Status Put(const Downtime& downtime) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Put(const ProbeEvent& event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Put(const CountKey& key, const ProbeMetrics& metrics)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
