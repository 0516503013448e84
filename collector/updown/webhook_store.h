#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/database.h"
#include "common/mutex.h"

namespace fleet::collector {

/// An event that a recipient refused, to be tried again by itself.
struct ParkedEvent {
  int64_t event = 0;
  int attempts = 0;
  absl::Time next_try;
};

/// How far each recipient of webhooks has come, durable: what is said here holds after any crash.
/// Thread-safe. Errors: those of Database.
class WebhookStore {
 public:
  /// Opens or makes the file; an empty path: kept in memory.
  static absl::StatusOr<std::unique_ptr<WebhookStore>> Open(const std::string& path);

  struct Place {
    int64_t event = 0;  // everything up to it is delivered, parked, given up or not for it
    int attempts = 0;   // at the one after it
    absl::Time next_try = absl::InfinitePast();
    bool operator==(const Place&) const = default;
  };
  /// Nothing for a recipient that was never served.
  absl::StatusOr<std::optional<Place>> Find(absl::string_view recipient);
  absl::Status Save(absl::string_view recipient, const Place& place);

  absl::StatusOr<std::vector<ParkedEvent>> Parked(absl::string_view recipient);
  absl::Status Park(absl::string_view recipient, const ParkedEvent& parked);
  absl::Status Unpark(absl::string_view recipient, int64_t event);
  /// Park and Save in one: an event is never lost between the two.
  absl::Status ParkAndSave(absl::string_view recipient, const ParkedEvent& parked,
                           const Place& place);

  /// Drops what is kept of a recipient that is no more.
  absl::Status Forget(absl::string_view recipient);

 private:
  explicit WebhookStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  absl::Status SaveLocked(absl::string_view recipient, const Place& place)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status ParkLocked(absl::string_view recipient, const ParkedEvent& parked)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
