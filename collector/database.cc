#include "collector/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/escape.h"
#include "common/scoped_fd.h"
#include "common/status_macros.h"

namespace fleet::collector {
namespace {

sqlite3_stmt* Statement(void* statement) { return static_cast<sqlite3_stmt*>(statement); }

absl::StatusCode CodeOf(int result) {
  switch (result & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return absl::StatusCode::kPermissionDenied;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kAlreadyExists;
    default:
      return absl::StatusCode::kInternal;
  }
}

/// SQLite makes files 0644; the -wal and -shm beside it get the mode of the file itself.
absl::Status MakePrivate(const std::string& path) {
  const ScopedFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  return absl::OkStatus();
}

}  // namespace

bool SqlRow::IsNull(int column) const {
  return ::sqlite3_column_type(Statement(statement_), column) == SQLITE_NULL;
}

int64_t SqlRow::Int(int column) const {
  return ::sqlite3_column_int64(Statement(statement_), column);
}

double SqlRow::Double(int column) const {
  return ::sqlite3_column_double(Statement(statement_), column);
}

std::string SqlRow::Text(int column) const {
  const unsigned char* text = ::sqlite3_column_text(Statement(statement_), column);
  if (text == nullptr) return {};
  const int size = ::sqlite3_column_bytes(Statement(statement_), column);
  return std::string(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
}

absl::Time SqlRow::Time(int column) const {
  return IsNull(column) ? absl::InfinitePast() : absl::FromUnixMicros(Int(column));
}

struct Database::Library {
  explicit Library(std::string file) : path(std::move(file)) {}
  ~Library() {
    for (const auto& [sql, statement] : statements) ::sqlite3_finalize(statement);
    ::sqlite3_close(handle);
  }

  absl::Status Error(int result) const {
    const char* said = handle == nullptr ? ::sqlite3_errstr(result) : ::sqlite3_errmsg(handle);
    return absl::Status(CodeOf(result), absl::StrCat(path.empty() ? "database" : path, ": ", said));
  }

  absl::StatusOr<sqlite3_stmt*> Prepare(const char* sql) {
    const auto found = statements.find(sql);
    if (found != statements.end()) return found->second;
    sqlite3_stmt* statement = nullptr;
    const int result =
        ::sqlite3_prepare_v3(handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (result != SQLITE_OK) return Error(result);
    statements.emplace(sql, statement);
    return statement;
  }

  absl::Status Bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
    int result = SQLITE_OK;
    if (const auto* integer = std::get_if<int64_t>(&value.value())) {
      result = ::sqlite3_bind_int64(statement, index, *integer);
    } else if (const auto* real = std::get_if<double>(&value.value())) {
      result = ::sqlite3_bind_double(statement, index, *real);
    } else if (const auto* text = std::get_if<absl::string_view>(&value.value())) {
      // Bound only while the statement runs. A null pointer would be NULL, not "".
      result = ::sqlite3_bind_text(statement, index, text->empty() ? "" : text->data(),
                                   static_cast<int>(text->size()), SQLITE_STATIC);
    } else {
      result = ::sqlite3_bind_null(statement, index);
    }
    return result == SQLITE_OK ? absl::OkStatus() : Error(result);
  }

  absl::Status Execute(const char* sql) {
    const int result = ::sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
    return result == SQLITE_OK ? absl::OkStatus() : Error(result);
  }

  const std::string path;
  sqlite3* handle = nullptr;
  absl::flat_hash_map<std::string, sqlite3_stmt*> statements;
};

Database::Database(std::unique_ptr<Library> library) : library_(std::move(library)) {}
Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Sync sync,
                                                         absl::Span<const char* const> migrations) {
  if (!path.empty()) FLEET_RETURN_IF_ERROR(MakePrivate(path));
  auto library = std::make_unique<Library>(path);
  const int result =
      ::sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &library->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  if (result != SQLITE_OK) return library->Error(result);
  std::unique_ptr<Database> database(new Database(std::move(library)));
  FLEET_RETURN_IF_ERROR(database->Configure(sync));
  FLEET_RETURN_IF_ERROR(database->Migrate(migrations));
  return database;
}

absl::Status Database::Configure(Sync sync) {
  ::sqlite3_extended_result_codes(library_->handle, 1);
  ::sqlite3_busy_timeout(library_->handle,
                         static_cast<int>(absl::ToInt64Milliseconds(kBusyTimeout)));
  FLEET_RETURN_IF_ERROR(library_->Execute("PRAGMA journal_mode = WAL"));
  FLEET_RETURN_IF_ERROR(library_->Execute("PRAGMA foreign_keys = ON"));
  // What is deleted (a token's hash) does not stay in free pages.
  FLEET_RETURN_IF_ERROR(library_->Execute("PRAGMA secure_delete = ON"));
  return library_->Execute(sync == Sync::kFull ? "PRAGMA synchronous = FULL"
                                               : "PRAGMA synchronous = NORMAL");
}

absl::Status Database::Migrate(absl::Span<const char* const> migrations) {
  int64_t version = 0;
  FLEET_RETURN_IF_ERROR(
      Query("PRAGMA user_version", {}, [&version](const SqlRow& row) { version = row.Int(0); }));
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version > newest) {
    return absl::FailedPreconditionError(absl::StrCat(library_->path, " has version ", version,
                                                      " of its schema; this fleet knows ", newest,
                                                      ": install the newer one again"));
  }
  for (; version < newest; ++version) {
    FLEET_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*this));
    FLEET_RETURN_IF_ERROR(library_->Execute(migrations[static_cast<size_t>(version)]));
    FLEET_RETURN_IF_ERROR(
        library_->Execute(absl::StrCat("PRAGMA user_version = ", version + 1).c_str()));
    FLEET_RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

absl::Status Database::Query(const char* sql, std::initializer_list<SqlValue> values,
                             absl::FunctionRef<void(const SqlRow&)> row) {
  FLEET_ASSIGN_OR_RETURN(sqlite3_stmt* const statement, library_->Prepare(sql));
  FLEET_ASSERT(static_cast<size_t>(::sqlite3_bind_parameter_count(statement)) == values.size());
  absl::Status status;
  int index = 0;
  for (const SqlValue& value : values) status.Update(library_->Bind(statement, ++index, value));
  int result = SQLITE_DONE;
  while (status.ok() && (result = ::sqlite3_step(statement)) == SQLITE_ROW) row(SqlRow(statement));
  if (status.ok() && result != SQLITE_DONE) status = library_->Error(result);
  ::sqlite3_reset(statement);
  ::sqlite3_clear_bindings(statement);
  return status;
}

absl::StatusOr<int64_t> Database::Run(const char* sql, std::initializer_list<SqlValue> values) {
  const int before = ::sqlite3_total_changes(library_->handle);
  FLEET_RETURN_IF_ERROR(Query(sql, values, [](const SqlRow&) {}));
  return int64_t{::sqlite3_total_changes(library_->handle)} - before;
}

int64_t Database::last_insert_id() const { return ::sqlite3_last_insert_rowid(library_->handle); }

// ---- transactions ---------------------------------------------------------------------------

absl::StatusOr<Database::Transaction> Database::Transaction::Begin(Database& database) {
  // IMMEDIATE: the lock is waited for here, never in the middle.
  FLEET_RETURN_IF_ERROR(database.Run("BEGIN IMMEDIATE").status());
  return Transaction(database);
}

Database::Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Database::Transaction::~Transaction() {
  // SQLite rolls back by itself after some errors; then there is nothing left to do.
  if (database_ != nullptr) database_->Run("ROLLBACK").status().IgnoreError();
}

absl::Status Database::Transaction::Commit() {
  FLEET_RETURN_IF_ERROR(database_->Run("COMMIT").status());
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace fleet::collector
