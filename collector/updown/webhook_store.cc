#include "collector/updown/webhook_store.h"

#include <utility>

#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr const char* kMigrations[] = {
    R"(CREATE TABLE places(
         recipient TEXT PRIMARY KEY,
         event INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         next_try INTEGER NOT NULL);
       CREATE TABLE parked(
         recipient TEXT NOT NULL,
         event INTEGER NOT NULL,
         attempts INTEGER NOT NULL,
         next_try INTEGER NOT NULL,
         PRIMARY KEY(recipient, event));)",
};

}  // namespace

absl::StatusOr<std::unique_ptr<WebhookStore>> WebhookStore::Open(const std::string& path) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kFull, kMigrations));
  return std::unique_ptr<WebhookStore>(new WebhookStore(std::move(database)));
}

absl::StatusOr<std::optional<WebhookStore::Place>> WebhookStore::Find(absl::string_view recipient) {
  std::optional<Place> place;
  MutexLock lock(mutex_);
  FLEET_RETURN_IF_ERROR(
      database_->Query("SELECT event, attempts, next_try FROM places WHERE recipient = ?",
                       {recipient}, [&place](const SqlRow& row) {
                         place = Place{row.Int(0), static_cast<int>(row.Int(1)), row.Time(2)};
                       }));
  return place;
}

absl::Status WebhookStore::SaveLocked(absl::string_view recipient, const Place& place) {
  const absl::Time next =
      place.next_try == absl::InfinitePast() ? absl::UnixEpoch() : place.next_try;
  return database_
      ->Run(
          "INSERT OR REPLACE INTO places(recipient, event, attempts, next_try) "
          "VALUES(?, ?, ?, ?)",
          {recipient, place.event, place.attempts, next})
      .status();
}

absl::Status WebhookStore::Save(absl::string_view recipient, const Place& place) {
  MutexLock lock(mutex_);
  return SaveLocked(recipient, place);
}

absl::StatusOr<std::vector<ParkedEvent>> WebhookStore::Parked(absl::string_view recipient) {
  std::vector<ParkedEvent> parked;
  MutexLock lock(mutex_);
  FLEET_RETURN_IF_ERROR(database_->Query(
      "SELECT event, attempts, next_try FROM parked WHERE recipient = ? ORDER BY event",
      {recipient}, [&parked](const SqlRow& row) {
        parked.push_back({row.Int(0), static_cast<int>(row.Int(1)), row.Time(2)});
      }));
  return parked;
}

absl::Status WebhookStore::ParkLocked(absl::string_view recipient, const ParkedEvent& parked) {
  return database_
      ->Run(
          "INSERT OR REPLACE INTO parked(recipient, event, attempts, next_try) "
          "VALUES(?, ?, ?, ?)",
          {recipient, parked.event, parked.attempts, parked.next_try})
      .status();
}

absl::Status WebhookStore::Park(absl::string_view recipient, const ParkedEvent& parked) {
  MutexLock lock(mutex_);
  return ParkLocked(recipient, parked);
}

absl::Status WebhookStore::Unpark(absl::string_view recipient, int64_t event) {
  MutexLock lock(mutex_);
  return database_->Run("DELETE FROM parked WHERE recipient = ? AND event = ?", {recipient, event})
      .status();
}

absl::Status WebhookStore::ParkAndSave(absl::string_view recipient, const ParkedEvent& parked,
                                       const Place& place) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                         Database::Transaction::Begin(*database_));
  FLEET_RETURN_IF_ERROR(ParkLocked(recipient, parked));
  FLEET_RETURN_IF_ERROR(SaveLocked(recipient, place));
  return transaction.Commit();
}

absl::Status WebhookStore::Forget(absl::string_view recipient) {
  MutexLock lock(mutex_);
  FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                         Database::Transaction::Begin(*database_));
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM places WHERE recipient = ?", {recipient}).status());
  FLEET_RETURN_IF_ERROR(
      database_->Run("DELETE FROM parked WHERE recipient = ?", {recipient}).status());
  return transaction.Commit();
}

}  // namespace fleet::collector
