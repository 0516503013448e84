#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/support/process.h"
#include "tests/support/temp_host.h"

namespace fleet::test {

/// The most memory that a process ever had resident, in bytes; 0 when there is none.
double PeakBytesOf(pid_t pid);

/// A real fleet-collector on free ports of loopback, plaintext unless `config` has tls, with its
/// files in a directory.
class CollectorProcess {
 public:
  explicit CollectorProcess(const TempDir& dir, const std::string& config = "");

  uint16_t grpc_port() const { return grpc_port_; }
  uint16_t http_port() const { return http_port_; }
  std::string grpc_address() const;
  std::string url(absl::string_view path) const;
  std::string log() const { return ReadFile(log_path_); }
  Process& process() { return *process_; }
  /// The most memory it ever had resident, in bytes.
  double PeakBytes() const { return PeakBytesOf(process_->pid()); }
  /// The value of a series of /metrics/self ("name" or "name{…}"); 0 when it is not there.
  double SelfMetric(absl::string_view series) const;

 private:
  std::string log_path_;
  std::unique_ptr<Process> process_;
  uint16_t grpc_port_ = 0;
  uint16_t http_port_ = 0;
};

/// A real fleet-agent that reports to `collector`.
class AgentProcess {
 public:
  struct Options {
    std::string host = "tempo";
    std::string interval = "1s";
    std::string checks;  // YAML below "checks:", indented by two
    std::string data_dir;
    std::string root;
  };
  AgentProcess(const TempDir& dir, const CollectorProcess& collector, const Options& options);

  std::string log() const { return ReadFile(log_path_); }
  Process& process() { return *process_; }

 private:
  std::string log_path_;
  std::unique_ptr<Process> process_;
};

/// Runs fleetctl against `collector`.
Output Fleetctl(const CollectorProcess& collector, std::vector<std::string> arguments);

/// `fleetctl status -o json`, parsed; null when the collector did not answer.
nlohmann::json Status(const CollectorProcess& collector);
/// One check of one host in it; null when it is not there.
nlohmann::json FindCheck(const nlohmann::json& status, absl::string_view host,
                         absl::string_view check);

/// What an HTTP GET by curl answers.
struct HttpAnswer {
  int code = 0;
  std::string body;
};
HttpAnswer HttpGet(const std::string& url, const std::vector<std::string>& headers = {});
/// The value of the series `series` ("name" or "name{…}", as written) in the text of /metrics; 0
/// when it is not there.
double MetricIn(absl::string_view text, absl::string_view series);

}  // namespace fleet::test
