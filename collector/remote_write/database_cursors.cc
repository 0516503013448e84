#include "collector/remote_write/database_cursors.h"

#include <utility>

#include "collector/database.h"
#include "common/mutex.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

constexpr const char* kMigrations[] = {
    "CREATE TABLE cursors (receiver TEXT NOT NULL, host TEXT NOT NULL, epoch INTEGER NOT NULL,"
    " number INTEGER NOT NULL, next INTEGER NOT NULL, reports INTEGER NOT NULL,"
    " PRIMARY KEY (receiver, host, epoch, number)) WITHOUT ROWID",
};

// SQLite's integers are signed; only their bits matter.
int64_t ToSql(uint64_t value) { return static_cast<int64_t>(value); }
uint64_t FromSql(int64_t value) { return static_cast<uint64_t>(value); }

class DatabaseCursors final : public CursorStore {
 public:
  explicit DatabaseCursors(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  absl::StatusOr<std::vector<CursorEntry>> Load(absl::string_view receiver) override {
    std::vector<CursorEntry> entries;
    MutexLock lock(mutex_);
    FLEET_RETURN_IF_ERROR(database_->Query(
        "SELECT host, epoch, number, next, reports FROM cursors WHERE receiver = ?", {receiver},
        [&entries](const SqlRow& row) {
          entries.push_back({row.Text(0),
                             {FromSql(row.Int(1)), FromSql(row.Int(2))},
                             FromSql(row.Int(3)),
                             FromSql(row.Int(4))});
        }));
    return entries;
  }

  absl::Status Save(absl::string_view receiver, absl::Span<const CursorEntry> entries,
                    absl::Span<const CursorEntry> gone) override {
    MutexLock lock(mutex_);
    FLEET_ASSIGN_OR_RETURN(Database::Transaction transaction,
                           Database::Transaction::Begin(*database_));
    for (const CursorEntry& entry : entries) {
      FLEET_RETURN_IF_ERROR(
          database_
              ->Run("INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?)",
                    {receiver, entry.host, ToSql(entry.id.epoch), ToSql(entry.id.number),
                     ToSql(entry.next), ToSql(entry.reports)})
              .status());
    }
    for (const CursorEntry& entry : gone) {
      FLEET_RETURN_IF_ERROR(
          database_
              ->Run("DELETE FROM cursors WHERE receiver = ? AND host = ? AND "
                    "epoch = ? AND number = ?",
                    {receiver, entry.host, ToSql(entry.id.epoch), ToSql(entry.id.number)})
              .status());
    }
    return transaction.Commit();
  }

 private:
  Mutex mutex_;
  const std::unique_ptr<Database> database_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<CursorStore>> OpenCursors(const std::string& path) {
  FLEET_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                         Database::Open(path, Database::Sync::kNormal, kMigrations));
  return std::unique_ptr<CursorStore>(std::make_unique<DatabaseCursors>(std::move(database)));
}

}  // namespace fleet::collector
