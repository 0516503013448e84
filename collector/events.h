#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/database.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Something that changed or was done, as `fleetctl events` shows it.
struct Event {
  absl::Time time;
  std::string host;     // whom it is about; empty: the collector itself, or nobody that we know
  std::string subject;  // "raid/md0", a certificate's serial, an address
  std::string kind;     // "verdict", "refused", "enrolled", "revoked", "retired", …
  std::string from;     // for a change: what it was
  std::string to;       // and what it is
  std::string text;     // one line for people
  bool operator==(const Event&) const = default;
};

/// Everything that happened, on disk, bounded by count and age. Thread-safe.
class EventLog {
 public:
  static constexpr size_t kQueueMax = 10'000;  // not yet written
  static constexpr int64_t kEventsMax = 1'000'000;
  static constexpr absl::Duration kAgeMax = absl::Hours(24 * 400);
  static constexpr size_t kTextBytesMax = 512;  // of each field; a longer one is cut
  /// How often what is too old or too many goes.
  static constexpr absl::Duration kTrimEvery = absl::Hours(1);
  /// When the disk refuses (full, gone) what waits is tried again so often.
  static constexpr absl::Duration kRetryEvery = absl::Seconds(1);
  /// Smaller ones are for tests.
  struct Limits {
    int64_t events = kEventsMax;
    absl::Duration age = kAgeMax;
  };

  /// Opens or makes the file `path`; empty: kept in memory, for a collector without data_dir.
  /// `clock` must outlive it.
  static absl::StatusOr<std::unique_ptr<EventLog>> Open(const std::string& path, Clock& clock) {
    return Open(path, clock, Limits());
  }
  static absl::StatusOr<std::unique_ptr<EventLog>> Open(const std::string& path, Clock& clock,
                                                        const Limits& limits);
  /// Writes what waits, unless the disk refuses.
  ~EventLog();

  /// Hands an event to the writer; never waits for the disk. When kQueueMax wait already it is
  /// dropped and counted.
  void Append(Event event);

  /// The newest `limit` events in [since, until), oldest first; of one host, or with an empty
  /// `host` of all. What was appended a moment ago may still be missing. May wait for the disk.
  absl::StatusOr<std::vector<Event>> Query(absl::string_view host, absl::Time since,
                                           absl::Time until, size_t limit);

  /// Waits until all that was appended so far is written, or `timeout` of real time has passed.
  /// Returns whether it is.
  bool Flush(absl::Duration timeout);

  uint64_t written() const { return written_; }
  uint64_t dropped() const { return dropped_; }

 private:
  EventLog(std::unique_ptr<Database> database, Clock& clock, const Limits& limits);

  void Write(const std::stop_token& stop);
  absl::Status Store(const std::vector<Event>& batch);
  absl::Status Trim();

  Clock& clock_;
  const Limits limits_;

  Mutex database_mutex_;  // never taken with mutex_ held
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(database_mutex_);

  Mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Event> waiting_ ABSL_GUARDED_BY(mutex_);
  size_t busy_ ABSL_GUARDED_BY(mutex_) = 0;  // taken by the writer and not yet on disk

  std::atomic<uint64_t> written_ = 0;
  std::atomic<uint64_t> dropped_ = 0;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
