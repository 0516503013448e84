#include "agent/postgres/advice.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace fleet::agent {
namespace {

/// What makes the role; harmless to read when it exists already.
std::string CreateLines(const std::string& role, bool password) {
  return absl::StrCat("CREATE ROLE ", role, " LOGIN", password ? " PASSWORD '…'" : "",
                      "; GRANT pg_monitor TO ", role, ";");
}

}  // namespace

std::string PgIdentifier(absl::string_view name) {
  const auto plain = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '_';
  };
  const bool word = !name.empty() && std::all_of(name.begin(), name.end(), plain) &&
                    !absl::ascii_isdigit(static_cast<unsigned char>(name[0]));
  return word ? std::string(name)
              : absl::StrCat("\"", absl::StrReplaceAll(name, {{"\"", "\"\""}}), "\"");
}

std::optional<std::string> PgBlindReason(const absl::Status& error, const PgAddress& address,
                                         absl::string_view system_user) {
  const std::string state = Sqlstate(error);
  const absl::string_view message = error.message();
  const std::string role = PgIdentifier(address.user);
  const std::string database = PgIdentifier(address.database);
  const bool local = absl::StartsWith(address.host, "/");
  if (state.empty()) {
    if (absl::IsPermissionDenied(error)) return std::string(message);  // the password file
    return std::nullopt;
  }
  if (absl::StrContains(message, "Peer authentication failed") ||
      absl::StrContains(message, "Ident authentication failed")) {
    if (system_user == address.user) {
      return absl::StrCat("refused as role ", role, ": as postgres run ", CreateLines(role, false));
    }
    return absl::StrCat("the socket lets ", system_user,
                        " in only as its own role: as postgres run ", CreateLines(role, false),
                        " put 'local ", address.database, " ", address.user,
                        " peer map=fleet' first in pg_hba.conf and 'fleet ", system_user, " ",
                        address.user, "' into pg_ident.conf, then SELECT pg_reload_conf();");
  }
  if (absl::StrContains(message, "pg_hba.conf")) {
    return absl::StrCat("pg_hba.conf has no line for us: as postgres run ",
                        CreateLines(role, !local), " add '", local ? "local " : "host ",
                        address.database, " ", address.user,
                        local ? " peer'" : " samehost scram-sha-256'",
                        " to pg_hba.conf, then SELECT pg_reload_conf();");
  }
  if (state == "28P01") {
    return absl::StrCat("no role ", role, ", or not its password: as postgres run ",
                        CreateLines(role, true),
                        " and name a file with that password as checks.postgres.password_file");
  }
  if (absl::StartsWith(state, "28")) {
    if (absl::StrContains(message, "is not permitted to log in")) {
      return absl::StrCat("role ", role, " may not log in: as postgres run ALTER ROLE ", role,
                          " LOGIN;");
    }
    return absl::StrCat("no role ", role, ": as postgres run ", CreateLines(role, false));
  }
  if (absl::StartsWith(state, "3D")) {
    return absl::StrCat("no database ", database, ": as postgres run CREATE DATABASE ", database,
                        "; or name another one in checks.postgres.dsn");
  }
  if (state == "42501" && absl::StrContains(message, "permission denied for database")) {
    return absl::StrCat("may not connect: as postgres run GRANT CONNECT ON DATABASE ", database,
                        " TO ", role, ";");
  }
  if (state == "42501") {
    for (const absl::string_view kind : {"view ", "table ", "relation "}) {
      const size_t at = message.find(absl::StrCat("permission denied for ", kind));
      if (at == absl::string_view::npos) continue;
      const absl::string_view what =
          message.substr(at + absl::string_view("permission denied for ").size() + kind.size());
      return absl::StrCat(message, ": as postgres run GRANT SELECT ON ", PgIdentifier(what), " TO ",
                          role, ";");
    }
    return absl::StrCat(message, ": as postgres run GRANT pg_monitor TO ", role, ";");
  }
  return std::nullopt;
}

std::string PgDownReason(const absl::Status& error, std::optional<double> usable) {
  const std::string state = Sqlstate(error);
  if (state == "53300") {
    return absl::StrCat("saturated: ",
                        usable.has_value()
                            ? absl::StrFormat("all %.0f connections are taken", *usable)
                            : std::string("all connections are taken"),
                        " (", error.message(), "); the server runs, but nobody new gets in");
  }
  if (state == "57P03") return absl::StrCat("not serving yet: ", error.message());
  return std::string(error.message());
}

}  // namespace fleet::agent
