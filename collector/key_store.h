#pragma once

#include <condition_variable>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/database.h"
#include "collector/http/keys.h"
#include "common/clock.h"
#include "common/mutex.h"

namespace fleet::collector {

/// A key as it is listed; the key itself is known to its holder alone.
struct KeyRecord {
  std::string name;
  KeyAccess access = KeyAccess::kRead;
  absl::Time made;
  std::string made_by;
  absl::Time last_used = absl::InfinitePast();  // InfinitePast: never
  absl::Time revoked = absl::InfinitePast();    // InfinitePast: it is not
};

/// The keys of the HTTP API, durable, hashed. What it holds it puts into a KeyBook, where requests
/// are judged without the disk. Thread-safe; every call waits for the disk and has the errors of
/// Database.
class KeyStore {
 public:
  static constexpr int64_t kKeysMax = 1000;  // that are not revoked
  static constexpr size_t kNameBytesMax = 64;
  /// How often it is written down when keys were used last. A crash loses no more.
  static constexpr absl::Duration kNoteEvery = absl::Minutes(1);
  /// How long it is remembered that a key was revoked; later it is merely unknown.
  static constexpr absl::Duration kRevokedMemory = absl::Hours(24 * 90);

  /// Opens or makes the file; an empty path: kept in memory. What is given must outlive it.
  static absl::StatusOr<std::unique_ptr<KeyStore>> Open(const std::string& path, KeyBook& book,
                                                        Clock& clock);
  ~KeyStore();

  /// Makes a key of 128 random bits and returns it; "ro-…" when it may only look. `by` is who
  /// asked. Errors: kInvalidArgument for a name that is empty, too long or not printable;
  /// kAlreadyExists for one that is in use; kResourceExhausted beyond kKeysMax.
  absl::StatusOr<std::string> New(absl::string_view name, KeyAccess access, absl::string_view by);
  /// Ends a key at once. Errors: kNotFound.
  absl::Status Revoke(absl::string_view name);
  /// Every key, in the order of their making; revoked ones as long as they are remembered.
  absl::StatusOr<std::vector<KeyRecord>> List();

 private:
  KeyStore(std::unique_ptr<Database> database, KeyBook& book, Clock& clock)
      : book_(book), clock_(clock), database_(std::move(database)) {}
  absl::Status Load();
  void Run(const std::stop_token& stop);
  absl::Status NoteUses() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  KeyBook& book_;
  Clock& clock_;
  Mutex mutex_;
  std::condition_variable_any wake_;
  const std::unique_ptr<Database> database_ ABSL_PT_GUARDED_BY(mutex_);
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace fleet::collector
