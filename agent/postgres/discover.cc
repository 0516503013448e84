#include "agent/postgres/discover.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/postgres/session.h"
#include "common/escape.h"

namespace fleet::agent {
namespace {

constexpr absl::string_view kSocketPrefix = ".s.PGSQL.";
constexpr uint16_t kPortMin = 5432;
constexpr uint16_t kPortMax = 5440;
constexpr size_t kServersMax = 16;

}  // namespace

std::vector<PostgresServer> DiscoverPostgres(const Listening& listening) {
  std::map<uint32_t, std::string> hosts;
  for (const std::string& path : listening.unix_paths) {
    const size_t slash = path.rfind('/');
    uint32_t port = 0;
    if (slash == std::string::npos || slash == 0) continue;
    absl::string_view name = absl::string_view(path).substr(slash + 1);
    if (!absl::ConsumePrefix(&name, kSocketPrefix) || !absl::SimpleAtoi(name, &port)) continue;
    std::string& host = hosts[port];
    if (host.empty() || absl::StartsWith(path, "/run/postgresql/")) host = path.substr(0, slash);
  }
  for (const TcpListener& listener : listening.tcp) {
    if (listener.port < kPortMin || listener.port > kPortMax) continue;
    std::string& host = hosts[listener.port];
    if (absl::StartsWith(host, "/") || absl::StartsWith(host, "127.")) continue;
    const std::string address = DialAddress(listener);
    if (host.empty() || absl::StartsWith(address, "127.") || address == "::1") host = address;
  }
  std::vector<PostgresServer> servers;
  for (const auto& [port, host] : hosts) {
    if (servers.size() == kServersMax) break;
    std::string dsn = "host='";
    for (const char c : host) {
      if (c == '\\' || c == '\'') dsn += '\\';
      dsn += c;
    }
    absl::StrAppend(&dsn, "' port=", port);
    servers.push_back({.name = {}, .dsn = std::move(dsn), .password_file = {}});
  }
  return servers;
}

std::string PostgresServerName(const PostgresServer& server) {
  if (!server.name.empty()) return server.name;
  const auto address = ParsePgDsn(server.dsn);
  return address.ok() ? absl::StrCat(address->host, ":", address->port) : OneLine(server.dsn, 80);
}

}  // namespace fleet::agent
