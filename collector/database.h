#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <variant>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace fleet::collector {

/// One value of a statement's `?`. A text is kept only until the call returns. Times are held as
/// microseconds since 1970.
class SqlValue {
 public:
  SqlValue(std::nullptr_t) {}                                               // NOLINT: as SQL has it
  SqlValue(int64_t value) : value_(value) {}                                // NOLINT
  SqlValue(int value) : value_(int64_t{value}) {}                           // NOLINT
  SqlValue(bool value) : value_(int64_t{value ? 1 : 0}) {}                  // NOLINT
  SqlValue(double value) : value_(value) {}                                 // NOLINT
  SqlValue(absl::Time value) : value_(absl::ToUnixMicros(value)) {}         // NOLINT
  SqlValue(absl::string_view value) : value_(value) {}                      // NOLINT
  SqlValue(const std::string& value) : value_(absl::string_view(value)) {}  // NOLINT
  SqlValue(const char* value) : value_(absl::string_view(value)) {}         // NOLINT

  const std::variant<std::monostate, int64_t, double, absl::string_view>& value() const {
    return value_;
  }

 private:
  std::variant<std::monostate, int64_t, double, absl::string_view> value_;
};

/// One row of an answer, valid during the callback only. Columns count from 0; a NULL reads as 0,
/// "" or InfinitePast.
class SqlRow {
 public:
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string Text(int column) const;
  absl::Time Time(int column) const;

 private:
  friend class Database;
  explicit SqlRow(void* statement) : statement_(statement) {}
  void* statement_;
};

/// One SQLite file: the one door to the library. Used by one thread at a time; whoever shares one
/// holds a lock.
///
/// Errors of every call: kUnavailable while somebody else holds the file for longer than
/// kBusyTimeout; kResourceExhausted when the disk is full; kDataLoss when the file is damaged;
/// kPermissionDenied when it cannot be written; kAlreadyExists for a broken constraint; kInternal.
class Database {
 public:
  /// How long a call waits for another process (a backup, sqlite3) that holds the file.
  static constexpr absl::Duration kBusyTimeout = absl::Seconds(5);

  /// What a commit waits for. With kNormal the newest commits may be gone after a power cut, never
  /// after a crash of ours; with kFull a commit is on disk when the call returns.
  enum class Sync { kNormal, kFull };

  /// Opens `path`, 0600 when it is new; empty: in memory, gone with the object. `migrations[i]`
  /// (one or several statements) takes version i of the schema to i + 1; those that are missing run
  /// now, each in its own transaction. Never change one that was released: append.
  /// Errors: as above, and kFailedPrecondition for a file that a newer fleet has made.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, Sync sync,
                                                        absl::Span<const char* const> migrations);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs one statement to its end; rows are dropped. `sql` must be a constant of the program: it
  /// is prepared once and kept. Returns how many rows it changed.
  absl::StatusOr<int64_t> Run(const char* sql, std::initializer_list<SqlValue> values = {});
  /// Calls `row` for each row of the answer, in order. `row` must not use this database.
  absl::Status Query(const char* sql, std::initializer_list<SqlValue> values,
                     absl::FunctionRef<void(const SqlRow&)> row);
  /// The id of the newest row that Run has inserted.
  int64_t last_insert_id() const;

  /// All of what runs between Begin and Commit, or nothing of it: without a Commit it is rolled
  /// back at the end of the scope. Not nested.
  class Transaction {
   public:
    static absl::StatusOr<Transaction> Begin(Database& database);
    ~Transaction();
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    absl::Status Commit();

   private:
    explicit Transaction(Database& database) : database_(&database) {}
    Database* database_;  // null when it is over
  };

 private:
  struct Library;
  explicit Database(std::unique_ptr<Library> library);
  absl::Status Configure(Sync sync);
  absl::Status Migrate(absl::Span<const char* const> migrations);

  std::unique_ptr<Library> library_;
};

}  // namespace fleet::collector
