#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"
#include "tests/support/test_ca.h"

namespace fleet::test {

/// A collector and agents that may die and come back: their directories and ports stay. Plaintext
/// on loopback, unless UseCertificates was called; with WithTls the agents and Fleetctl are the
/// test's own.
class FleetLab {
 public:
  struct AgentOptions {
    std::string interval = "100ms";
    std::string checks;  // YAML below "checks:", indented by two
    std::string extra;   // more YAML
    std::vector<std::pair<std::string, std::string>> environment;
    std::vector<std::string> wrapper;  // before the program: {"ip", "netns", "exec", "left"}
    std::string collector;             // host:port, when not the lab's own
    std::string root;                  // of /proc and /sys; empty: the recorded host's
  };
  struct CollectorOptions {
    std::string extra;  // more YAML
    std::vector<std::pair<std::string, std::string>> environment;
    std::vector<std::string> wrapper;
    std::string grpc_listen;  // when not 127.0.0.1 at a free port
  };

  FleetLab();

  /// From now on everybody has a certificate of one CA, as a real fleet has.
  void UseCertificates() { ca_.emplace(); }
  /// Options of a collector that speaks TLS as `identity`, with `extra` YAML.
  CollectorOptions WithTls(const TlsIdentity& identity, const std::string& extra) const;

  void StartCollector(const CollectorOptions& options);
  void StartCollector() { StartCollector(CollectorOptions()); }
  /// Waits until the collector of this start answers /-/ready.
  bool WaitReady();
  Process& collector() { return *collector_; }
  void StartAgent(const std::string& host, const AgentOptions& options);
  void StartAgent(const std::string& host) { StartAgent(host, AgentOptions()); }
  Process& agent(const std::string& host) { return *agents_.at(host); }
  /// Ends the program that was started last with SIGTERM, once it says that it runs: before that
  /// it may not have come to where a signal is more than the end of a process. Returns the exit
  /// code.
  int StopCollector();
  int StopAgent(const std::string& host);

  /// The /proc and /sys that agents look at by default.
  static std::string RecordedRoot();
  /// Where each keeps what must survive.
  std::string journal_dir() const { return dir_ / "collector/journal"; }
  std::string collector_dir() const { return dir_ / "collector"; }
  std::string agent_dir(const std::string& host) const { return dir_ / host; }
  std::string spool_dir(const std::string& host) const { return agent_dir(host) + "/spool"; }
  std::string agent_config(const std::string& host) const { return dir_ / (host + ".yaml"); }
  std::string log(absl::string_view program) const;  // "collector" or a host

  uint16_t grpc_port() const { return grpc_port_; }
  std::string grpc_address() const { return absl::StrCat("127.0.0.1:", grpc_port_); }
  std::string url(absl::string_view path) const;
  const TempDir& dir() const { return dir_; }

  Output Fleetctl(std::vector<std::string> arguments) const;
  /// `fleetctl status -o json`, parsed; null when the collector did not answer.
  nlohmann::json Status() const;
  /// One host of it; null when it is not there.
  nlohmann::json Host(const std::string& host) const;
  /// The value of a series of /metrics/self ("name" or "name{…}"); -1 when it is not there.
  double SelfMetric(absl::string_view series) const;

 private:
  /// How long the log of "collector" or a host was when it started last.
  void NoteStart(const std::string& program) { log_sizes_[program] = log(program).size(); }
  int StopRunning(const std::string& program, Process& process);
  /// Writes the three files into `directory`, unless they are there. Returns `directory`.
  std::string WriteIdentity(const std::string& directory, Role role, const std::string& name) const;

  TempDir dir_;
  std::optional<TestCa> ca_;
  uint16_t grpc_port_;
  uint16_t http_port_;
  std::unique_ptr<Process> collector_;
  std::map<std::string, std::unique_ptr<Process>> agents_;
  std::map<std::string, size_t> log_sizes_;
};

}  // namespace fleet::test
