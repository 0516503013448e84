#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// A real PostgreSQL of the test's own: data, socket and log in a temporary directory, on a free
/// port of 127.0.0.1, run as the user postgres; stopped and removed at the end. Made from one
/// initdb per test program (with checksums).
class PostgresCluster {
 public:
  /// Whether this machine can: Debian's PostgreSQL 15 is installed and we are root.
  static bool Available();

  /// Makes the data directory; `conf` are further lines of postgresql.conf. Not started yet.
  explicit PostgresCluster(absl::string_view conf = "");
  /// A standby of `primary`, by pg_basebackup through `slot`.
  PostgresCluster(const PostgresCluster& primary, absl::string_view slot);
  ~PostgresCluster();
  PostgresCluster(const PostgresCluster&) = delete;
  PostgresCluster& operator=(const PostgresCluster&) = delete;

  /// Starts and waits until it accepts connections.
  void Start();
  /// Fast shutdown.
  void Stop();
  /// To the server and every process of it: SIGSTOP freezes it as a dead disk does.
  void Signal(int signal);

  /// As the superuser, in database postgres unless told otherwise. Aborts on an error.
  std::string Sql(absl::string_view sql, absl::string_view database = "postgres") const;
  /// A psql that runs `script` and then keeps its session open.
  std::unique_ptr<Process> Session(absl::string_view script,
                                   absl::string_view user = "postgres") const;
  /// Replaces pg_hba.conf (and pg_ident.conf) and reloads.
  void SetHba(absl::string_view hba, absl::string_view ident = "");

  uint16_t port() const { return port_; }
  std::string socket_dir() const { return dir_.path(); }
  std::string data() const { return dir_ / "data"; }
  /// libpq keywords for the socket, or for TCP.
  std::string dsn() const;
  std::string tcp_dsn() const;
  /// How the check names it when asked by dsn().
  std::string name() const;

 private:
  void Configure(absl::string_view conf);

  TempDir dir_;
  uint16_t port_;
  std::unique_ptr<Process> process_;
};

}  // namespace fleet::test
