#include "tests/support/fleet_processes.h"

#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/status_macros.h"

#ifndef FLEET_BIN_DIR
#error "FLEET_BIN_DIR names where the programs are"
#endif

namespace fleet::test {
namespace {

std::string Program(absl::string_view name) { return absl::StrCat(FLEET_BIN_DIR, "/", name); }

uint16_t PortOf(const std::string& ports, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(ports, '\n')) {
    const std::pair<absl::string_view, absl::string_view> entry = absl::StrSplit(line, '=');
    uint32_t port = 0;
    if (entry.first == name && absl::SimpleAtoi(entry.second, &port)) {
      return static_cast<uint16_t>(port);
    }
  }
  return 0;
}

}  // namespace

CollectorProcess::CollectorProcess(const TempDir& dir, const std::string& config)
    : log_path_(dir / "collector.log") {
  const std::string ports = dir / "ports";
  std::vector<std::string> argv = {Program("fleet-collector"),
                                   "--grpc-listen",
                                   "127.0.0.1:0",
                                   "--http-listen",
                                   "127.0.0.1:0",
                                   "--ports-file",
                                   ports};
  if (!absl::StrContains(config, "tls:")) argv.emplace_back("--insecure");
  if (!config.empty()) {
    WriteFile(dir / "collector.yaml", config);
    argv.insert(argv.end(), {"--config", dir / "collector.yaml"});
  }
  process_ = std::make_unique<Process>(argv, Process::Options{log_path_, {}, "", ""});
  const bool up = WaitFor([&] {
    http_port_ = PortOf(ReadFile(ports), "http");
    return http_port_ != 0 || !process_->Running();
  });
  grpc_port_ = PortOf(ReadFile(ports), "grpc");
  if (!up || grpc_port_ == 0) std::fprintf(stderr, "%s\n", log().c_str());
  FLEET_ASSERT(grpc_port_ != 0 && http_port_ != 0);
}

double PeakBytesOf(pid_t pid) {
  const std::string status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    double kilobytes = 0;
    if (absl::ConsumePrefix(&line, "VmHWM:") && absl::ConsumeSuffix(&line, " kB") &&
        absl::SimpleAtod(line, &kilobytes)) {
      return kilobytes * 1024;
    }
  }
  return 0;
}

double CollectorProcess::SelfMetric(absl::string_view series) const {
  return MetricIn(HttpGet(url("/metrics/self")).body, series);
}

std::string CollectorProcess::grpc_address() const {
  return absl::StrCat("127.0.0.1:", grpc_port_);
}

std::string CollectorProcess::url(absl::string_view path) const {
  return absl::StrCat("http://127.0.0.1:", http_port_, path);
}

AgentProcess::AgentProcess(const TempDir& dir, const CollectorProcess& collector,
                           const Options& options)
    : log_path_(dir / absl::StrCat(options.host, ".log")) {
  const std::string config_path = dir / absl::StrCat(options.host, ".yaml");
  std::string config = absl::StrCat("collector: ", collector.grpc_address(),
                                    "\ninsecure: true\nhost: ", options.host,
                                    "\ninterval: ", options.interval, "\n");
  if (!options.data_dir.empty()) absl::StrAppend(&config, "data_dir: ", options.data_dir, "\n");
  if (!options.checks.empty()) absl::StrAppend(&config, "checks:\n", options.checks);
  WriteFile(config_path, config);
  std::vector<std::string> argv = {Program("fleet-agent"), "--config", config_path};
  if (!options.root.empty()) argv.insert(argv.end(), {"--root", options.root});
  process_ = std::make_unique<Process>(argv, Process::Options{log_path_, {}, "", ""});
}

Output Fleetctl(const CollectorProcess& collector, std::vector<std::string> arguments) {
  std::vector<std::string> argv = {Program("fleetctl"), "--insecure", "--collector",
                                   collector.grpc_address()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunProgram(argv);
}

nlohmann::json Status(const CollectorProcess& collector) {
  const Output output = Fleetctl(collector, {"status", "-o", "json"});
  return nlohmann::json::parse(output.text, nullptr, false);
}

nlohmann::json FindCheck(const nlohmann::json& status, absl::string_view host,
                         absl::string_view check) {
  if (!status.is_object()) return nullptr;
  for (const auto& h : status["hosts"]) {
    if (h["name"] != std::string(host)) continue;
    for (const auto& c : h["checks"]) {
      if (c["name"] == std::string(check)) return c;
    }
  }
  return nullptr;
}

double MetricIn(absl::string_view text, absl::string_view series) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    double value = 0;
    if (absl::ConsumePrefix(&line, series) && absl::ConsumePrefix(&line, " ") &&
        absl::SimpleAtod(line, &value)) {
      return value;
    }
  }
  return 0;
}

HttpAnswer HttpGet(const std::string& url, const std::vector<std::string>& headers) {
  std::vector<std::string> argv = {"curl", "-s", "-m", "10", "-w", "\n%{http_code}"};
  for (const std::string& header : headers) argv.insert(argv.end(), {"-H", header});
  argv.push_back(url);
  const std::string text = RunProgram(argv).text;
  const size_t cut = text.rfind('\n');
  HttpAnswer answer;
  if (cut == std::string::npos) return answer;
  answer.body = text.substr(0, cut);
  if (!absl::SimpleAtoi(text.substr(cut + 1), &answer.code)) answer.code = 0;
  return answer;
}

}  // namespace fleet::test
