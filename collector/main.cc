#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "collector/collector.h"
#include "collector/config.h"
#include "collector/metrics_doc.h"
#include "common/grpc_prepare.h"
#include "common/log.h"
#include "common/service_notify.h"
#include "common/stop_signals.h"
#include "common/version.h"

namespace fleet::collector {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 64;
constexpr absl::Duration kDrainTime = absl::Seconds(5);

struct Arguments {
  std::string config;
  ConfigOverrides overrides;
  std::string ports_file;
  bool check_config = false;
  bool verbose = false;
};

/// Feeds systemd's watchdog as long as the collector works, until a signal to stop.
int WaitForSignal(const StopSignals& stop, Collector& collector, ServiceNotify& service) {
  int signal = 0;
  if (!service.watched()) {
    ::sigwait(&stop.set(), &signal);
    return signal;
  }
  const timespec wait = absl::ToTimespec(service.beat_interval());
  while ((signal = ::sigtimedwait(&stop.set(), nullptr, &wait)) < 0) {
    if (collector.Pulse()) {
      service.Beat();
    } else {
      log::Error("the journal's thread hangs: systemd may start us anew");
    }
  }
  return signal;
}

/// Each connection is a descriptor, and systemd starts us with a low limit that we may raise.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log::Warning("the limit of descriptors stays low");
}

int Run(const Arguments& arguments, const StopSignals& stop) {
  ConfigLoader loader;
  CollectorOptions options = LoadCollectorOptions(arguments.config, arguments.overrides, loader);
  for (const ConfigProblem& note : loader.notes()) {
    std::fprintf(stderr, "%s\n", note.ToString().c_str());
  }
  if (!loader.problems().empty()) {
    std::fprintf(stderr, "%s\n", loader.Problems().c_str());
    return kExitFailure;
  }
  if (arguments.check_config) {
    std::printf("%s: ok\n", arguments.config.empty() ? "no config" : arguments.config.c_str());
    return 0;
  }
  ::signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();
  PrepareGrpc();
  log::Info(
      "fleet-collector starts",
      {{"version", Version()}, {"config", arguments.config.empty() ? "none" : arguments.config}});
  ServiceNotify service(Clock::Real());
  absl::StatusOr<std::unique_ptr<Collector>> collector =
      Collector::Start(std::move(options), Clock::Real());
  absl::Status status = collector.status();
  if (status.ok() && !arguments.ports_file.empty()) {
    status = (*collector)->WritePorts(arguments.ports_file);
  }
  if (!status.ok()) {
    log::Error("cannot start", {{"error", status}});
    return kExitFailure;
  }
  service.Ready();
  const int signal = WaitForSignal(stop, **collector, service);
  service.Stopping();
  log::Info("stopping", {{"signal", signal}});
  (*collector)->Stop(kDrainTime);
  return 0;
}

int Main(int argc, char** argv) {
  const StopSignals stop;
  // Arenas per thread make a small server grow for hours.
  ::mallopt(M_ARENA_MAX, 2);  // NOLINT(concurrency-mt-unsafe): one thread so far
  Arguments arguments;
  CLI::App app(
      "Takes the reports of fleet's agents; serves Prometheus, fleetctl and health probes.",
      "fleet-collector");
  app.set_version_flag("--version", std::string("fleet-collector ") + std::string(Version()));
  app.add_option("--config", arguments.config, "collector.yaml");
  app.add_flag("--check-config", arguments.check_config,
               "Say what is wrong with the config, all at once, and exit");
  app.add_flag("--insecure", arguments.overrides.insecure,
               "Plaintext gRPC, on loopback only: to try fleet out");
  app.add_option("--grpc-listen", arguments.overrides.grpc_listen,
                 "address:port for agents and fleetctl, over grpc.listen; port 0 picks one");
  app.add_option("--http-listen", arguments.overrides.http_listen,
                 "address:port for HTTP, over http.listen; port 0 picks one");
  app.add_option("--ports-file", arguments.ports_file,
                 "Write grpc=PORT and http=PORT there once both listen");
  app.add_flag("--verbose", arguments.verbose, "Log more");
  bool metrics_doc = false;
  app.add_flag("--metrics-doc", metrics_doc)->group("");  // for ./dev docs, not for people
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (arguments.verbose) log::SetLevel(log::Level::kDebug);
  if (metrics_doc) {
    std::fputs(RenderMetricsDoc().c_str(), stdout);
    return 0;
  }
  return Run(arguments, stop);
}

}  // namespace
}  // namespace fleet::collector

int main(int argc, char** argv) { return fleet::collector::Main(argc, argv); }
