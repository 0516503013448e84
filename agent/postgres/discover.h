#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/listening.h"
#include "agent/options.h"

namespace fleet::agent {

/// Servers that seem to be here: each Unix socket .s.PGSQL.PORT, and each listener on TCP 5432 to
/// 5440 whose port no socket has. One entry per port: a server listens on both. Sockets in
/// /run/postgresql come before others of the same port, loopback before other addresses. Pure.
std::vector<PostgresServer> DiscoverPostgres(const Listening& listening);

/// The `server` label and item of a server, as postgres_exporter writes it: "127.0.0.1:5432",
/// "/run/postgresql:5432". Its name when it has one; the dsn itself when that cannot be read.
std::string PostgresServerName(const PostgresServer& server);

}  // namespace fleet::agent
