#include "tests/support/fleet_lab.h"

#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"
#include "tests/support/fleet_processes.h"

#ifndef FLEET_BIN_DIR
#error "FLEET_BIN_DIR names where the programs are"
#endif

namespace fleet::test {
namespace {

std::string Program(absl::string_view name) { return absl::StrCat(FLEET_BIN_DIR, "/", name); }

std::vector<std::string> Wrapped(std::vector<std::string> wrapper, std::vector<std::string> argv) {
  wrapper.insert(wrapper.end(), argv.begin(), argv.end());
  return wrapper;
}

}  // namespace

FleetLab::FleetLab() : grpc_port_(FreePort()), http_port_(FreePort()) {}

std::string FleetLab::url(absl::string_view path) const {
  return absl::StrCat("http://127.0.0.1:", http_port_, path);
}

std::string FleetLab::log(absl::string_view program) const {
  return ReadFile(dir_ / absl::StrCat(program, ".log"));
}

FleetLab::CollectorOptions FleetLab::WithTls(const TlsIdentity& identity,
                                             const std::string& extra) const {
  WriteFile(dir_ / "ca.pem", identity.ca);
  WriteFile(dir_ / "cert.pem", identity.cert);
  WriteFile(dir_ / "key.pem", identity.key);
  FLEET_ASSERT(::chmod((dir_ / "key.pem").c_str(), 0600) == 0);
  CollectorOptions options;
  options.extra = absl::StrCat("tls: {ca: ", dir_ / "ca.pem", ", cert: ", dir_ / "cert.pem",
                               ", key: ", dir_ / "key.pem", "}\n", extra);
  return options;
}

std::string FleetLab::WriteIdentity(const std::string& directory, Role role,
                                    const std::string& name) const {
  if (!ReadFile(directory + "/key.pem").empty()) return directory;
  std::filesystem::create_directories(directory);
  const TlsIdentity identity = ca_->Issue(role, name);
  WriteFile(directory + "/ca.pem", identity.ca);
  WriteFile(directory + "/cert.pem", identity.cert);
  WriteFile(directory + "/key.pem", identity.key);
  FLEET_ASSERT(::chmod((directory + "/key.pem").c_str(), 0600) == 0);
  return directory;
}

void FleetLab::StartCollector(const CollectorOptions& options) {
  const std::string listen = options.grpc_listen.empty() ? grpc_address() : options.grpc_listen;
  if (ca_.has_value()) WriteIdentity(collector_dir() + "/tls", Role::kCollector, "collector");
  const bool secure = ca_.has_value() || absl::StrContains(options.extra, "tls:");
  WriteFile(
      dir_ / "collector.yaml",
      absl::StrCat("grpc: {listen: \"", listen, "\"}\nhttp: {listen: \"127.0.0.1:", http_port_,
                   "\"}\ndata_dir: ", collector_dir(), "\n", secure ? "" : "insecure: true\n",
                   // fleetctl is asked again and again.
                   absl::StrContains(options.extra, "limits:")
                       ? ""
                       : "limits: {handshakes_per_second: 1000, reports_per_second: 1000}\n",
                   options.extra));
  collector_.reset();
  NoteStart("collector");
  collector_ = std::make_unique<Process>(
      Wrapped(options.wrapper, {Program("fleet-collector"), "--config", dir_ / "collector.yaml"}),
      Process::Options{dir_ / "collector.log", options.environment, "", ""});
}

bool FleetLab::WaitReady() {
  return WaitFor([this] { return HttpGet(url("/-/ready")).code == 200; });
}

std::string FleetLab::RecordedRoot() {
  return absl::StrCat(FLEET_SOURCE_DIR, "/tests/fixtures/hosts/tempo");
}

void FleetLab::StartAgent(const std::string& host, const AgentOptions& options) {
  std::string config = absl::StrCat(
      "collector: ", options.collector.empty() ? grpc_address() : options.collector,
      ca_.has_value() ? "" : "\ninsecure: true", "\nhost: ", host, "\ninterval: ", options.interval,
      "\ndata_dir: ", agent_dir(host), "\n", options.extra);
  if (!options.checks.empty()) absl::StrAppend(&config, "checks:\n", options.checks);
  WriteFile(agent_config(host), config);
  if (ca_.has_value()) WriteIdentity(agent_dir(host) + "/tls", Role::kAgent, host);
  agents_.erase(host);
  NoteStart(host);
  agents_[host] = std::make_unique<Process>(
      Wrapped(options.wrapper, {Program("fleet-agent"), "--config", agent_config(host), "--root",
                                options.root.empty() ? RecordedRoot() : options.root}),
      Process::Options{dir_ / absl::StrCat(host, ".log"), options.environment, "", ""});
}

int FleetLab::StopRunning(const std::string& program, Process& process) {
  WaitFor([&] {
    return absl::StrContains(log(program).substr(log_sizes_[program]), " starts") ||
           !process.Running();
  });
  return process.Stop();
}

int FleetLab::StopCollector() { return StopRunning("collector", collector()); }
int FleetLab::StopAgent(const std::string& host) { return StopRunning(host, agent(host)); }

Output FleetLab::Fleetctl(std::vector<std::string> arguments) const {
  std::vector<std::string> argv = {Program("fleetctl"), "--collector", grpc_address()};
  if (ca_.has_value()) {
    const std::string tls = WriteIdentity(dir_ / "admin", Role::kAdmin, "rado");
    argv.insert(argv.end(),
                {"--ca", tls + "/ca.pem", "--cert", tls + "/cert.pem", "--key", tls + "/key.pem"});
  } else {
    argv.emplace_back("--insecure");
  }
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunProgram(argv);
}

nlohmann::json FleetLab::Status() const {
  return nlohmann::json::parse(Fleetctl({"status", "-o", "json"}).text, nullptr, false);
}

nlohmann::json FleetLab::Host(const std::string& host) const {
  const nlohmann::json status = Status();
  if (!status.is_object()) return nullptr;
  for (const auto& entry : status["hosts"]) {
    if (entry["name"] == host) return entry;
  }
  return nullptr;
}

double FleetLab::SelfMetric(absl::string_view series) const {
  for (absl::string_view line : absl::StrSplit(HttpGet(url("/metrics/self")).body, '\n')) {
    double value = 0;
    if (absl::ConsumePrefix(&line, series) && absl::ConsumePrefix(&line, " ") &&
        absl::SimpleAtod(line, &value)) {
      return value;
    }
  }
  return -1;
}

}  // namespace fleet::test
