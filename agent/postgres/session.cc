#include "agent/postgres/session.h"

#include <libpq-fe.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <pqxx/pqxx>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
constexpr size_t kRowsMax = 20'000;

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
    if (!std::all_of(code.begin(), code.end(),
                     [](char c) { return absl::ascii_isdigit(c) || absl::ascii_isupper(c); })) {
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

absl::StatusOr<PgTable> ToTable(const pqxx::result& result) {
  if (result.size() > kRowsMax) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", kRowsMax, " rows"));
  }
  std::vector<std::string> columns;
  for (pqxx::row::size_type i = 0; i < result.columns(); ++i) {
    columns.emplace_back(result.column_name(i));
  }
  PgTable table(std::move(columns));
  for (const pqxx::row& row : result) {
    for (const pqxx::field& field : row) {
      if (field.is_null()) {
        table.Add(std::nullopt);
      } else {
        table.Add(absl::string_view(field.c_str(), field.size()));
      }
    }
  }
  return table;
}

/// pqxx 6 drops the SQLSTATE of exactly those errors that have a class of their own.
std::string SqlstateOf(const pqxx::sql_error& error) {
  if (!error.sqlstate().empty()) return error.sqlstate();
  if (dynamic_cast<const pqxx::insufficient_privilege*>(&error) != nullptr) return "42501";
  if (dynamic_cast<const pqxx::undefined_table*>(&error) != nullptr) return "42P01";
  if (dynamic_cast<const pqxx::undefined_column*>(&error) != nullptr) return "42703";
  if (dynamic_cast<const pqxx::undefined_function*>(&error) != nullptr) return "42883";
  if (dynamic_cast<const pqxx::syntax_error*>(&error) != nullptr) return "42601";
  if (dynamic_cast<const pqxx::disk_full*>(&error) != nullptr) return "53100";
  if (dynamic_cast<const pqxx::out_of_memory*>(&error) != nullptr) return "53200";
  if (dynamic_cast<const pqxx::feature_not_supported*>(&error) != nullptr) return "0A000";
  return "XX000";
}

/// Runs `query` and turns whatever it throws into a status.
template <typename Query>
absl::StatusOr<PgTable> Caught(Query query) {
  try {
    return ToTable(query());
  } catch (const pqxx::sql_error& error) {
    absl::string_view message = error.what();
    absl::ConsumePrefix(&message, "ERROR:  ");
    const std::pair<absl::string_view, absl::string_view> lines =
        absl::StrSplit(message, absl::MaxSplits('\n', 1));
    return PgError(SqlstateOf(error), lines.first);
  } catch (const pqxx::broken_connection& error) {
    return absl::UnavailableError(OneLine(absl::StripAsciiWhitespace(error.what())));
  } catch (const std::exception& error) {
    return absl::AbortedError(OneLine(absl::StripAsciiWhitespace(error.what())));
  }
}

}  // namespace

absl::StatusOr<PgTable> PgSession::Query(const std::string& sql, SteadyTime deadline) {
  return std::move(QueryBatch({sql}, deadline).front());
}

std::vector<absl::StatusOr<PgTable>> PgSession::QueryBatch(absl::Span<const std::string> sqls,
                                                           SteadyTime deadline) {
  std::vector<absl::StatusOr<PgTable>> results;
  results.reserve(sqls.size());
  if (!open()) {
    results.assign(sqls.size(), absl::UnavailableError("not connected"));
    return results;
  }
  const SteadyTime start = Clock::Real().SteadyNow();
  Watchdog::Guard guard = watchdog_.Arm(impl_->socket.get(), deadline);
  try {
    pqxx::nontransaction transaction(*impl_->connection);
    if (sqls.size() == 1) {
      results.push_back(Caught([&] { return transaction.exec(sqls.front()); }));
    } else {
      pqxx::pipeline pipeline(transaction);
      pipeline.retain(static_cast<int>(sqls.size()) + 1);
      std::vector<pqxx::pipeline::query_id> ids;
      for (const std::string& sql : sqls) ids.push_back(pipeline.insert(sql));
      pipeline.resume();
      for (const pqxx::pipeline::query_id id : ids) {
        results.push_back(Caught([&] { return pipeline.retrieve(id); }));
      }
    }
  } catch (const std::exception& error) {
    results.resize(sqls.size(), absl::AbortedError(OneLine(error.what())));
  }
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
