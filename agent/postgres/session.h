#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "agent/postgres/table.h"
#include "agent/watchdog.h"
#include "common/clock.h"

namespace fleet::agent {

/// Where a server is and who we are there.
struct PgTarget {
  std::string dsn;            // libpq keywords or a URI, without password
  std::string password_file;  // its first line; empty: none
  std::string database;       // instead of the dsn's; empty: that one
};

/// What libpq makes of a dsn, with our defaults where it is silent.
struct PgAddress {
  std::string host = "localhost";  // name, address or the socket's directory
  std::string port = "5432";
  std::string user = "fleet";
  std::string database = "postgres";
};
/// Errors: kInvalidArgument with libpq's own words.
absl::StatusOr<PgAddress> ParsePgDsn(absl::string_view dsn);

/// The SQLSTATE of an error that a server sent ("28P01"); empty for any other status.
std::string Sqlstate(const absl::Status& status);
/// An error as a server sends it, with the status code that its SQLSTATE stands for:
///   kResourceExhausted  53300, all connections taken
///   kPermissionDenied   28xxx, 3D000 and 42501: who we are, or what we may
///   kUnimplemented      42xxx otherwise: this version has no such table, column or function
///   kDeadlineExceeded   57014, our own statement_timeout
///   kUnavailable        57P01-57P03, 08xxx: shutting down, starting up, gone
///   kDataLoss           XX001, XX002: a damaged page
///   kInternal           anything else
absl::Status PgError(absl::string_view sqlstate, absl::string_view message);

/// The one door to libpqxx and libpq: one connection to one server, kept between runs. Nothing
/// throws out of it, and no call outlasts its deadline (of the machine's monotonic clock):
/// connecting polls a non-blocking socket, and during a query the watchdog shuts the socket down.
/// An error that ends the connection closes the session; the next Connect starts anew. Used by one
/// thread at a time.
class PgSession {
 public:
  explicit PgSession(Watchdog& watchdog);
  ~PgSession();
  PgSession(const PgSession&) = delete;
  PgSession& operator=(const PgSession&) = delete;

  /// Errors: those of PgError, kUnavailable when nothing listens or answers, and those of reading
  /// the password file. Names in the dsn are resolved by the system's resolver, in its own time.
  absl::Status Connect(const PgTarget& target, SteadyTime deadline);
  bool open() const;
  void Close();

  /// As server_version_num: 150020. 0 when closed.
  int server_version() const;

  /// One statement, in no transaction of ours.
  /// Errors: those of PgError (the session stays open), kUnavailable when the connection broke.
  absl::StatusOr<PgTable> Query(const std::string& sql, SteadyTime deadline);

  /// Several statements in one round trip and one implicit transaction: a statement that fails
  /// hides what the later ones would have given. One result per statement; a statement behind a
  /// failed one has kAborted. Errors as Query.
  std::vector<absl::StatusOr<PgTable>> QueryBatch(absl::Span<const std::string> sqls,
                                                  SteadyTime deadline);

 private:
  /// The results of all statements of `text` up to the first error, as Query.
  std::vector<absl::StatusOr<PgTable>> Run(const std::string& text, SteadyTime deadline);

  struct Impl;
  Watchdog& watchdog_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fleet::agent
