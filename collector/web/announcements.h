#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/database.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// Numbered as the proto numbers them.
enum class AnnouncementState { kInvestigating = 1, kIdentified, kMonitoring, kResolved };
/// "investigating", "identified", "monitoring", "resolved".
absl::string_view AnnouncementStateName(AnnouncementState state);

struct AnnouncementUpdate {
  absl::Time time;
  AnnouncementState state = AnnouncementState::kInvestigating;
  std::string text;  // Markdown; empty when only the state changed
  std::string by;    // the admin; empty without certificates
};

/// What the admin tells the users, and what became of it.
struct Announcement {
  std::string id;                           // six hexadecimal digits
  std::vector<AnnouncementUpdate> updates;  // oldest first, at least one

  AnnouncementState state() const { return updates.back().state; }
  bool resolved() const { return state() == AnnouncementState::kResolved; }
  absl::Time created() const { return updates.front().time; }
  absl::Time updated() const { return updates.back().time; }
  /// Its first line in plain words, cut to kTitleBytesMax.
  std::string Title() const;

  static constexpr size_t kTitleBytesMax = 100;
};

/// All announcements, durable. Thread-safe; every call waits for the disk and has the errors of
/// Database.
class AnnouncementStore {
 public:
  static constexpr size_t kTextBytesMax = 8 << 10;
  static constexpr int64_t kAnnouncementsMax = 1'000;  // the oldest goes for a new one
  static constexpr size_t kUpdatesMax = 100;           // of one announcement

  /// Opens or makes the file; an empty path: kept in memory. `clock` must outlive it.
  static absl::StatusOr<std::unique_ptr<AnnouncementStore>> Open(const std::string& path,
                                                                 Clock& clock);

  /// Errors: kInvalidArgument for a text that is empty, too long, not UTF-8 or has control
  /// characters.
  absl::StatusOr<Announcement> Post(AnnouncementState state, absl::string_view text,
                                    absl::string_view by);
  /// Adds to one. Errors: as Post, but with a `state` the text may be empty; kNotFound;
  /// kResourceExhausted beyond kUpdatesMax.
  absl::StatusOr<Announcement> Update(absl::string_view id, std::optional<AnnouncementState> state,
                                      absl::string_view text, absl::string_view by);
  /// The newest `limit`, newest first.
  absl::StatusOr<std::vector<Announcement>> List(size_t limit);

 private:
  AnnouncementStore(std::unique_ptr<Database> database, Clock& clock)
      : clock_(clock), database_(std::move(database)) {}
  absl::StatusOr<Announcement> Load(absl::string_view id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Insert(absl::string_view id, const AnnouncementUpdate& update)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace fleet::collector
