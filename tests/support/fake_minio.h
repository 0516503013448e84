#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// Runs tests/support/fake_minio.py on a free port of 127.0.0.1 for as long as it lives.
class FakeMinio {
 public:
  /// What this machine lacks to run it; empty when nothing.
  static std::string Missing();

  /// Starts it and waits until it answers. A `port` of 0 is a free one.
  explicit FakeMinio(uint16_t port = 0);

  uint16_t port() const { return port_; }
  std::string url(absl::string_view path = "") const;
  /// How it feels from now on: a JSON object, see DEFAULTS in fake_minio.py.
  void Set(absl::string_view json);
  /// Below its own directory, which lives as long as it does.
  std::string file(absl::string_view name) const { return dir_ / name; }
  /// A bearer token for its metrics, as `mc admin prometheus generate` prints one.
  static std::string Token(const std::string& secret_key = "fleet-secret");
  /// The requests that it has answered: "GET /minio/health/live 200" per line.
  std::string Log() const;
  Process& process() { return *process_; }

 private:
  TempDir dir_;
  uint16_t port_;
  std::unique_ptr<Process> process_;
};

}  // namespace fleet::test
