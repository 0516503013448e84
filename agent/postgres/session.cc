#include "agent/postgres/session.h"

#include <libpq-fe.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/escape.h"
#include "common/scoped_fd.h"
#include "common/secret.h"
#include "common/status_macros.h"
#include "common/units.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kSqlstatePayload = "fleet/sqlstate";
constexpr int kRowsMax = 20'000;

/// Connects without blocking beyond `deadline`, which neither pqxx nor connect_timeout can: a
/// stopped server's kernel accepts the connection, and libpq then waits for whole seconds.
class BoundedPolicy final : public pqxx::connectionpolicy {
 public:
  BoundedPolicy(const std::string& conninfo, SteadyTime deadline)
      : connectionpolicy(conninfo), deadline_(deadline) {}

  handle do_startconnect(handle orig) override {
    if (orig != nullptr) return orig;
    handle connection = PQconnectStart(options().c_str());
    if (connection == nullptr) throw std::bad_alloc();
    if (PQstatus(connection) == CONNECTION_BAD) Fail(connection, PQerrorMessage(connection));
    // Puts the SQLSTATE into the text of a refusal, the only place where libpq keeps it.
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
    PQsetNoticeProcessor(
        connection, [](void*, const char*) {}, nullptr);
    Poll(connection);
    PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    connection_ = connection;
    return connection;
  }
  handle do_completeconnect(handle orig) override { return orig; }

  handle connection() const { return connection_; }
  bool timed_out() const { return timed_out_; }

 private:
  [[noreturn]] static void Fail(handle connection, const std::string& message) {
    PQfinish(connection);
    throw pqxx::broken_connection(message);
  }

  void Poll(handle connection) {
    for (PostgresPollingStatusType state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;
         state = PQconnectPoll(connection)) {
      if (state == PGRES_POLLING_FAILED) Fail(connection, PQerrorMessage(connection));
      pollfd ready = {.fd = PQsocket(connection), .events = POLLIN, .revents = 0};
      if (state == PGRES_POLLING_WRITING) ready.events = POLLOUT;
      const absl::Duration left = deadline_ - Clock::Real().SteadyNow();
      const int wait_ms = static_cast<int>(absl::ToInt64Milliseconds(left));
      if (wait_ms <= 0 || ::poll(&ready, 1, wait_ms) == 0) {
        timed_out_ = true;
        Fail(connection, "no answer");
      }
    }
  }

  const SteadyTime deadline_;
  handle connection_ = nullptr;
  bool timed_out_ = false;
};

class BoundedConnection final : public pqxx::connection_base {
 public:
  explicit BoundedConnection(BoundedPolicy& policy) : connection_base(policy) { init(); }
  ~BoundedConnection() { close(); }
};

/// pqxx reports notices and broken connections on stderr unless told not to.
class Quiet final : public pqxx::errorhandler {
 public:
  explicit Quiet(pqxx::connection_base& connection) : errorhandler(connection) {}
  bool operator()(const char[]) noexcept override { return false; }
};

std::string QuoteConninfo(absl::string_view value) {
  return absl::StrCat("'", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

/// The dsn's keywords with our defaults below them and the password above, for libpq alone.
absl::StatusOr<std::string> Conninfo(const PgTarget& target) {
  char* error = nullptr;
  PQconninfoOption* options = PQconninfoParse(target.dsn.c_str(), &error);
  if (options == nullptr) {
    const std::string why = error == nullptr ? "out of memory" : OneLine(error);
    PQfreemem(error);
    return absl::InvalidArgumentError(absl::StrCat("dsn: ", why));
  }
  const PgAddress defaults;
  std::string conninfo =
      absl::StrCat("user=", defaults.user, " dbname=", defaults.database,
                   " application_name=fleet-agent client_encoding=UTF8 gssencmode=disable");
  absl::StrAppend(&conninfo, " keepalives_idle=30 keepalives_interval=5 keepalives_count=3");
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    absl::StrAppend(&conninfo, " ", option->keyword, "=", QuoteConninfo(option->val));
  }
  PQconninfoFree(options);
  if (!target.database.empty()) {
    absl::StrAppend(&conninfo, " dbname=", QuoteConninfo(target.database));
  }
  if (target.password_file.empty()) return conninfo;
  const auto text = ReadSecretFile(target.password_file);
  if (!text.ok()) {
    return absl::PermissionDeniedError(
        absl::StrCat("password_file ", target.password_file, ": ", text.status().message()));
  }
  const std::pair<absl::string_view, absl::string_view> lines =
      absl::StrSplit(*text, absl::MaxSplits('\n', 1));
  absl::StrAppend(&conninfo, " password=", QuoteConninfo(absl::StripSuffix(lines.first, "\r")));
  return conninfo;
}

/// "connection to server … failed: FATAL:  53300: sorry, too many clients already\nLOCATION: …"
/// as a status; libpq's own complaints have no SQLSTATE.
absl::Status ConnectError(absl::string_view text) {
  for (size_t at = text.find(":  "); at != absl::string_view::npos; at = text.find(":  ", at + 1)) {
    const absl::string_view rest = text.substr(at + 3);
    const absl::string_view code = rest.substr(0, 5);
    if (code.size() < 5 || !absl::StartsWith(rest.substr(5), ": ")) continue;
    if (!std::all_of(code.begin(), code.end(), [](unsigned char c) {
          return absl::ascii_isdigit(c) || absl::ascii_isupper(c);
        })) {
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> lines =
        absl::StrSplit(rest.substr(7), absl::MaxSplits('\n', 1));
    return PgError(code, lines.first);
  }
  if (absl::StrContains(text, "no password supplied")) {
    return PgError("28P01", "the server asks for a password and none is configured");
  }
  // Without the hint behind the first line ("Is the server running locally …").
  const std::pair<absl::string_view, absl::string_view> lines =
      absl::StrSplit(text, absl::MaxSplits('\n', 1));
  const std::string why = OneLine(absl::StrReplaceAll(lines.first, {{"\"", ""}}));
  if (absl::StrContains(why, "Permission denied")) return absl::PermissionDeniedError(why);
  return absl::UnavailableError(why);
}

}  // namespace

absl::StatusOr<PgAddress> ParsePgDsn(absl::string_view dsn) {
  char* error = nullptr;
  PQconninfoOption* options = PQconninfoParse(std::string(dsn).c_str(), &error);
  if (options == nullptr) {
    const std::string why = error == nullptr ? "out of memory" : OneLine(error);
    PQfreemem(error);
    return absl::InvalidArgumentError(why);
  }
  PgAddress address;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    if (option->val == nullptr || *option->val == '\0') continue;
    const absl::string_view keyword = option->keyword;
    if (keyword == "host" || keyword == "hostaddr") address.host = option->val;
    if (keyword == "port") address.port = option->val;
    if (keyword == "user") address.user = option->val;
    if (keyword == "dbname") address.database = option->val;
  }
  PQconninfoFree(options);
  return address;
}

std::string Sqlstate(const absl::Status& status) {
  const auto payload = status.GetPayload(kSqlstatePayload);
  return payload.has_value() ? std::string(*payload) : std::string();
}

absl::Status PgError(absl::string_view sqlstate, absl::string_view message) {
  const auto is = [sqlstate](absl::string_view prefix) {
    return absl::StartsWith(sqlstate, prefix);
  };
  absl::StatusCode code = absl::StatusCode::kInternal;
  if (is("53300")) {
    code = absl::StatusCode::kResourceExhausted;
  } else if (is("28") || is("3D") || is("42501")) {
    code = absl::StatusCode::kPermissionDenied;
  } else if (is("42")) {
    code = absl::StatusCode::kUnimplemented;
  } else if (is("57014")) {
    code = absl::StatusCode::kDeadlineExceeded;
  } else if (is("57P") || is("08")) {
    code = absl::StatusCode::kUnavailable;
  } else if (is("XX001") || is("XX002")) {
    code = absl::StatusCode::kDataLoss;
  }
  // Without the quotes around names: OneLine would escape them, and nobody misses them.
  absl::Status status(code, OneLine(absl::StrReplaceAll(message, {{"\"", ""}})));
  status.SetPayload(kSqlstatePayload, absl::Cord(sqlstate));
  return status;
}

struct PgSession::Impl {
  Impl(const std::string& conninfo, SteadyTime deadline) : policy(conninfo, deadline) {}

  BoundedPolicy policy;
  std::optional<BoundedConnection> connection;
  std::optional<Quiet> quiet;
  /// A dup of libpq's socket, which only we close: what the watchdog may shut down.
  ScopedFd socket;
};

PgSession::PgSession(Watchdog& watchdog) : watchdog_(watchdog) {}
PgSession::~PgSession() { Close(); }

bool PgSession::open() const { return impl_ != nullptr && impl_->connection->is_open(); }

void PgSession::Close() {
  if (impl_ != nullptr) impl_->quiet.reset();
  impl_.reset();
}

int PgSession::server_version() const { return open() ? impl_->connection->server_version() : 0; }

absl::Status PgSession::Connect(const PgTarget& target, SteadyTime deadline) {
  Close();
  FLEET_ASSIGN_OR_RETURN(const std::string conninfo, Conninfo(target));
  const SteadyTime start = Clock::Real().SteadyNow();
  auto impl = std::make_unique<Impl>(conninfo, deadline);
  try {
    impl->connection.emplace(impl->policy);
    impl->quiet.emplace(*impl->connection);
    // Otherwise pqxx would reconnect by itself, in its own time.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    impl->connection->inhibit_reactivation(true);
#pragma GCC diagnostic pop
  } catch (const std::exception& error) {
    if (impl->policy.timed_out()) {
      return absl::UnavailableError(absl::StrCat("no answer to a connection within ",
                                                 HumanDuration(Clock::Real().SteadyNow() - start)));
    }
    return ConnectError(error.what());
  }
  impl->socket = ScopedFd(::dup(impl->connection->sock()));
  if (!impl->socket.valid()) return absl::InternalError("cannot duplicate the socket");
  impl_ = std::move(impl);
  return absl::OkStatus();
}

namespace {

using PgResult = std::unique_ptr<PGresult, decltype(&PQclear)>;

absl::StatusOr<PgTable> ToTable(const PGresult& result) {
  const int rows = PQntuples(&result);
  const int width = PQnfields(&result);
  if (rows > kRowsMax) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", kRowsMax, " rows"));
  }
  std::vector<std::string> columns;
  columns.reserve(static_cast<size_t>(width));
  for (int column = 0; column < width; ++column) columns.emplace_back(PQfname(&result, column));
  PgTable table(std::move(columns));
  table.Reserve(static_cast<size_t>(rows));
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < width; ++column) {
      if (PQgetisnull(&result, row, column) != 0) {
        table.Add(std::nullopt);
      } else {
        table.Add(absl::string_view(PQgetvalue(&result, row, column),
                                    static_cast<size_t>(PQgetlength(&result, row, column))));
      }
    }
  }
  return table;
}

/// What the server said of a statement; without an SQLSTATE, libpq lost the server.
absl::Status ToError(const PGresult& result) {
  const char* const sqlstate = PQresultErrorField(&result, PG_DIAG_SQLSTATE);
  const char* const message = PQresultErrorField(&result, PG_DIAG_MESSAGE_PRIMARY);
  if (sqlstate == nullptr || message == nullptr) {
    return absl::UnavailableError(
        OneLine(absl::StripAsciiWhitespace(PQresultErrorMessage(&result))));
  }
  const std::pair<absl::string_view, absl::string_view> lines =
      absl::StrSplit(message, absl::MaxSplits('\n', 1));
  return PgError(sqlstate, lines.first);
}

/// Sends `text`, which may be many statements, and takes the result of each up to the first error.
/// pqxx would do the same at four times the cost: it makes an object of every value it hands out.
std::vector<absl::StatusOr<PgTable>> Exchange(PGconn* connection, const std::string& text) {
  std::vector<absl::StatusOr<PgTable>> results;
  if (PQsendQuery(connection, text.c_str()) == 0) {
    results.emplace_back(absl::UnavailableError(OneLine(PQerrorMessage(connection))));
    return results;
  }
  while (true) {
    const PgResult result(PQgetResult(connection), PQclear);
    if (result == nullptr) return results;
    switch (PQresultStatus(result.get())) {
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        results.push_back(ToTable(*result));
        break;
      case PGRES_BAD_RESPONSE:
      case PGRES_NONFATAL_ERROR:
      case PGRES_FATAL_ERROR:
        results.emplace_back(ToError(*result));
        break;
      default:
        // A server that wants to copy would say so for ever.
        results.emplace_back(absl::UnavailableError("an answer to what was not asked"));
        return results;
    }
  }
}

}  // namespace

absl::StatusOr<PgTable> PgSession::Query(const std::string& sql, SteadyTime deadline) {
  auto results = Run(sql, deadline);
  const auto failed =
      std::find_if(results.begin(), results.end(), [](const auto& result) { return !result.ok(); });
  if (failed != results.end()) return std::move(*failed);
  if (results.empty()) return absl::AbortedError("no result");
  return std::move(results.back());
}

std::vector<absl::StatusOr<PgTable>> PgSession::QueryBatch(absl::Span<const std::string> sqls,
                                                           SteadyTime deadline) {
  auto results = Run(absl::StrJoin(sqls, ";\n"), deadline);
  results.resize(sqls.size(), absl::AbortedError("behind a statement that failed"));
  return results;
}

std::vector<absl::StatusOr<PgTable>> PgSession::Run(const std::string& text, SteadyTime deadline) {
  std::vector<absl::StatusOr<PgTable>> results;
  if (!open()) {
    results.emplace_back(absl::UnavailableError("not connected"));
    return results;
  }
  const SteadyTime start = Clock::Real().SteadyNow();
  Watchdog::Guard guard = watchdog_.Arm(impl_->socket.get(), deadline);
  results = Exchange(impl_->policy.connection(), text);
  const bool fired = guard.Disarm();
  if (!fired && open()) return results;
  const absl::Status gone =
      absl::UnavailableError(fired ? absl::StrCat("no answer to a query within ",
                                                  HumanDuration(Clock::Real().SteadyNow() - start))
                                   : "closed the connection in the middle of an answer");
  for (absl::StatusOr<PgTable>& result : results) {
    if (!result.ok() && Sqlstate(result.status()).empty()) result = gone;
  }
  Close();
  return results;
}

}  // namespace fleet::agent
