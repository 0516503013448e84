// fleet-agent: measures this host and tells the collectors.
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/checks/filesystem_stats.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "agent/echo.h"
#include "agent/join_command.h"
#include "agent/redis/acl.h"
#include "agent/scheduler.h"
#include "agent/spool.h"
#include "agent/spool_commands.h"
#include "agent/start_pages.h"
#include "agent/tinc_hook.h"
#include "agent/uplink.h"
#include "agent/vantage.h"
#include "agent/watcher.h"
#include "common/grpc_prepare.h"
#include "common/log.h"
#include "common/service_notify.h"
#include "common/stop_signals.h"
#include "common/version.h"
#include "common/x509.h"
#include "fleet/v1/agent_config.pb.h"
#include "fleet/v1/ingest.pb.h"

namespace fleet::agent {
namespace {

/// What the command line says.
struct Arguments {
  std::string config;
  std::string root = "/";
  bool check_config = false;
  bool verbose = false;
  std::vector<std::string> checks;
  std::string output = "table";
  std::string forget;
  RedisAclOptions redis_acl;
  SpoolCommandOptions spool;
  JoinArguments join;
};

std::string Hostname() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

/// As the collector will know us; empty without a certificate.
std::string NameOfCertificate(const std::string& path) {
  const absl::StatusOr<std::string> pem = ReadSecretFile(path);
  if (!pem.ok()) return {};
  const absl::StatusOr<CertificateFacts> facts = ReadCertificate(*pem);
  return facts.ok() ? facts->name : std::string();
}

/// The settings of --config, or the defaults. False after printing every problem.
bool LoadSettings(const Arguments& arguments, AgentSettings& settings) {
  ConfigLoader loader;
  v1::AgentConfig config;
  if (!arguments.config.empty()) loader.LoadFile(arguments.config, config);
  settings = ToSettings(config, loader);
  if (!settings.insecure) settings.host = NameOfCertificate(settings.tls_cert);
  if (settings.host.empty()) settings.host = Hostname();
  if (loader.problems().empty()) return true;
  std::cerr << loader.Problems() << "\n";
  return false;
}

CheckEnv MakeEnv(const Arguments& arguments, const AgentSettings& settings) {
  CheckEnv env{HostFs(arguments.root), settings.checks, "", settings.data_dir};
  char program[4096] = {};
  if (::readlink("/proc/self/exe", program, sizeof(program) - 1) > 0) env.program = program;
  return env;
}

int RunCheckCommand(const Arguments& arguments) {
  for (const std::string& name : arguments.checks) {
    std::vector<std::string> known;
    for (const CheckSpec& spec : AllChecks()) known.emplace_back(spec.name);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::cerr << "fleet-agent: no check \"" << name
                << "\"; there are: " << absl::StrJoin(known, ", ") << "\n";
      return 64;
    }
  }
  AgentSettings settings;
  if (!LoadSettings(arguments, settings)) return 1;
  log::SetLevel(arguments.verbose ? log::Level::kDebug : log::Level::kError);
  const CheckEnv env = MakeEnv(arguments, settings);
  MemoryStore store(settings.data_dir, false, Clock::Real());
  bool all_back = true;
  const std::vector<Report> reports =
      RunOnce(MakeChecks(settings, env, arguments.checks, store), store, Clock::Real(), all_back);
  std::cout << (arguments.output == "json" ? absl::StrCat(RenderJson(settings.host, reports), "\n")
                                           : RenderTable(reports))
            << std::flush;
  // A thread that is stuck in the kernel cannot be joined.
  if (!all_back) ::_exit(ExitCode(reports));
  return ExitCode(reports);
}

int RunForgetCommand(const Arguments& arguments) {
  AgentSettings settings;
  if (!LoadSettings(arguments, settings)) return 1;
  if (settings.data_dir.empty()) {
    std::cerr << "fleet-agent: nothing is remembered without a data_dir; name it with --config\n";
    return 1;
  }
  const absl::Status status = MemoryStore::Forget(settings.data_dir, arguments.forget);
  if (absl::IsNotFound(status)) {
    std::cerr << "fleet-agent: nothing is remembered of " << arguments.forget << "\n";
    return 1;
  }
  if (!status.ok()) {
    std::cerr << "fleet-agent: " << status.message() << "\n";
    return 1;
  }
  std::cout << arguments.forget << " is forgotten; when it is not there, it is absent\n";
  return 0;
}

/// `fleet-agent spool ls|verify|export`; `command` is one of these.
int RunSpoolCommand(const Arguments& arguments, const std::string& command) {
  AgentSettings settings;
  if (arguments.spool.directory.empty() && !LoadSettings(arguments, settings)) return 1;
  SpoolCommandOptions options = arguments.spool;
  if (options.directory.empty() && settings.data_dir.empty()) {
    std::cerr << "fleet-agent: without a data_dir there is no spool on the disk; name one with "
                 "--config, or a spool's directory with --dir\n";
    return 1;
  }
  if (options.directory.empty()) options.directory = SpoolDirectory(settings);
  options.host = settings.host.empty() ? Hostname() : settings.host;
  SpoolReader reader(options, FileSystem::Real(), Clock::Real(), BootClock::Real());
  if (command == "ls") return reader.List(std::cout, std::cerr);
  if (command == "verify") return reader.Verify(std::cout, std::cerr);
  return reader.Export(std::cout, std::cerr);
}

/// Prints the line that makes a Redis user with the checks' rights and no more.
int RunRedisAclCommand(const Arguments& arguments) {
  AgentSettings settings;
  if (!LoadSettings(arguments, settings)) return 1;
  RedisAclOptions options = arguments.redis_acl;
  if (options.name_space.empty()) options.name_space = settings.checks.sidekiq.name_space;
  const absl::StatusOr<std::string> line = RedisAclLine(options);
  if (!line.ok()) {
    std::cerr << "fleet-agent: " << line.status().message() << "\n";
    return 64;
  }
  std::cout << *line << "\n";
  std::cerr
      << "Replace PASSWORD, run the line in redis-cli, then ACL SAVE or CONFIG REWRITE; set user "
         "and password_file under checks.redis.\n";
  return 0;
}

/// Joins with what can be read of the settings: that there is no certificate yet is no problem
/// here.
int RunJoin(Arguments& arguments) {
  ConfigLoader loader;
  v1::AgentConfig config;
  if (!arguments.config.empty()) loader.LoadFile(arguments.config, config);
  const AgentSettings settings = ToSettings(config, loader);
  for (const ConfigProblem& problem : loader.problems()) {
    if (absl::StartsWith(problem.field, "tls")) continue;
    std::cerr << loader.Problems() << "\n";
    return 1;
  }
  arguments.join.config = arguments.config;
  return RunJoinCommand(arguments.join, settings);
}

/// Logs a check's verdict when it changes, not each time it is found again.
class VerdictLog {
 public:
  void Note(const Report& report) {
    MutexLock lock(mutex_);
    const std::string verdict(report.absent ? "absent" : VerdictName(report.verdict));
    std::string& last = last_[report.check];
    if (last == verdict) return;
    const bool quiet = last.empty() && (report.absent || report.verdict == Verdict::kOk);
    last = verdict;
    log::Write(quiet ? log::Level::kDebug : log::Level::kInfo, "verdict",
               {{"check", report.check}, {"verdict", verdict}, {"reason", report.reason}});
  }

 private:
  Mutex mutex_;
  std::map<std::string, std::string> last_ ABSL_GUARDED_BY(mutex_);
};

std::unique_ptr<Spool> MakeSpool(const AgentSettings& settings) {
  std::random_device random;
  SpoolOptions options;
  if (!settings.data_dir.empty()) options.directory = SpoolDirectory(settings);
  options.collectors = settings.collectors;
  options.epoch = (static_cast<uint64_t>(random()) << 32) | random();
  options.age_max = settings.spool_age_max;
  options.bytes_max = settings.spool_bytes_max;
  options.flushed = true;
  return std::make_unique<Spool>(std::move(options), FileSystem::Real(), Clock::Real(),
                                 BootClock::Real());
}

std::vector<std::unique_ptr<Uplink>> MakeUplinks(
    const AgentSettings& settings, Spool& spool,
    const std::function<void(const std::vector<std::string>&)>& refresh, Vantage* vantage) {
  std::vector<std::unique_ptr<Uplink>> uplinks;
  for (size_t i = 0; i < settings.collectors.size(); ++i) {
    UplinkOptions options{settings.collectors[i],
                          i,
                          settings.insecure,
                          settings.tls_ca,
                          settings.tls_cert,
                          settings.tls_key,
                          settings.host,
                          std::string(Version()),
                          settings.interval,
                          refresh,
                          nullptr};
    if (vantage != nullptr) {
      options.plan = [vantage, i](const v1::CollectorMessage& message) {
        if (message.has_plan()) vantage->SetPlan(i, message.plan());
        if (message.has_hurry()) vantage->SetHurry(i, message.hurry());
      };
    }
    uplinks.push_back(std::make_unique<Uplink>(std::move(options), spool, Clock::Real()));
  }
  return uplinks;
}

/// The echo that the tinc checks of other agents measure against; null where it is switched off or
/// this host is on no VPN.
std::unique_ptr<EchoServer> StartEcho(const CheckEnv& env, const AgentSettings& settings) {
  if (!settings.echo_enabled || !env.fs.live()) return nullptr;
  EchoOptions options = EchoOptionsFromTinc(env.fs, settings.checks.tinc);
  options.port = settings.echo_port;
  if (!settings.echo_listen.empty()) options.listen.clear();
  for (const std::string& text : settings.echo_listen) {
    if (const auto address = IpAddress::Parse(text)) options.listen.push_back(*address);
  }
  if (options.listen.empty()) return nullptr;
  auto echo = EchoServer::Start(std::move(options));
  if (echo.ok()) return *std::move(echo);
  log::Warning("no echo: peers measure by TCP instead", {{"error", echo.status()}});
  return nullptr;
}

/// Waits for the signal that ends the daemon. When the first reports have long left, the memory
/// that only the start needed goes; later, what was needed once and is not any more.
int WaitForSignal(const StopSignals& stop) {
  constexpr absl::Duration kStart = absl::Seconds(30);
  constexpr absl::Duration kLater = absl::Minutes(10);
  for (absl::Duration span = kStart;; span = kLater) {
    const timespec wait = absl::ToTimespec(span);
    if (const int signal = ::sigtimedwait(&stop.set(), nullptr, &wait); signal > 0) return signal;
    DropStartPages();
  }
}

/// Runs until one of `stop`.
int RunDaemon(const Arguments& arguments, const StopSignals& stop) {
  AgentSettings settings;
  if (!LoadSettings(arguments, settings)) return 1;
  if (settings.collectors.empty()) {
    std::cerr << "fleet-agent: no collector; name one in the file of --config, or look at this "
                 "host with `fleet-agent check`\n";
    return 1;
  }
  const CheckEnv env = MakeEnv(arguments, settings);
  // A fixture host keeps no memory unless the configuration names a place for it.
  MemoryStore store(settings.data_dir, true, Clock::Real());
  std::vector<ScheduledCheck> checks = MakeChecks(settings, env, {}, store);
  std::vector<std::string> names;
  names.reserve(checks.size());
  for (const ScheduledCheck& check : checks) names.push_back(check.name);
  log::Info("fleet-agent starts", {{"version", Version()},
                                   {"host", settings.host},
                                   {"config", arguments.config},
                                   {"checks", absl::StrJoin(names, ",")}});

  const std::unique_ptr<Spool> spool = MakeSpool(settings);
  const std::unique_ptr<Renewal> renewal = StartRenewal(settings);
  VerdictLog verdicts;
  std::unique_ptr<Scheduler> scheduler;
  Watcher watcher(env.fs, [&scheduler](const std::string& check) { scheduler->Trigger(check); });
  ServiceNotify service(Clock::Real());
  scheduler = std::make_unique<Scheduler>(
      std::move(checks), store, Clock::Real(),
      Scheduler::Hooks{[&](const Report& report) {
                         verdicts.Note(report);
                         spool->Add(report);
                       },
                       [&watcher](const std::string& check, std::vector<Watch> watches) {
                         watcher.Update(check, std::move(watches));
                       },
                       service.watched() ? [&service] { service.Beat(); } : std::function<void()>(),
                       service.beat_interval(), [&spool] { spool->Flush(); }});
  std::unique_ptr<Vantage> vantage;
  if (settings.vantage) {
    vantage = std::make_unique<Vantage>(Vantage::Parts{settings.probe_policy, Clock::Real(),
                                                       probe::Engine::Create,
                                                       [&spool](const Report& report) {
                                                         spool->Add(report);
                                                         spool->Flush();
                                                       }});
  }
  // A collector that comes back gets every check's news at once, not at its next interval.
  std::vector<std::unique_ptr<Uplink>> uplinks = MakeUplinks(
      settings, *spool,
      [&scheduler](const std::vector<std::string>& lacking) {
        for (const std::string& check : lacking) scheduler->Trigger(check);
      },
      vantage.get());
  scheduler->Start();
  const std::unique_ptr<EchoServer> echo = StartEcho(env, settings);
  service.Ready();
  const int signal = WaitForSignal(stop);
  service.Stopping();
  log::Info("fleet-agent stops", {{"signal", signal}});
  if (!scheduler->Stop(absl::Seconds(3))) {
    log::Warning("a stuck check is left behind");
    uplinks.clear();
    vantage.reset();
    spool->Close();
    ::_exit(0);
  }
  uplinks.clear();  // they still send what the last checks found
  return 0;
}

CLI::App* AddRedisAcl(CLI::App& app, RedisAclOptions& options) {
  CLI::App* command =
      app.add_subcommand("redis-acl", "print the line that makes a Redis user for fleet");
  command->add_option("--user", options.user, "its name; default fleet");
  command->add_option("--redis-version", options.version, "of the server, as 6.2; default 7.0");
  command->add_option("--namespace", options.name_space,
                      "of Sidekiq's keys; default: checks.sidekiq.namespace of --config");
  command->add_flag("!--no-sidekiq", options.sidekiq, "without Sidekiq's keys");
  return command;
}

int Main(int argc, char** argv) {
  // First of all, because tincd waits for it.
  if (argc > 1 && absl::string_view(argv[1]) == "tinc-hook") return TincHookMain(argc, argv);
  const StopSignals stop;
  // Many arenas make a small daemon grow for hours.
  ::mallopt(M_ARENA_MAX, 2);  // NOLINT(concurrency-mt-unsafe): one thread so far
  Arguments arguments;
  CLI::App app(
      "fleet-agent measures this host and tells the collector.\n"
      "Without a subcommand it runs as a daemon until SIGTERM.");
  app.set_version_flag("--version", absl::StrCat("fleet-agent ", Version()));
  app.add_option("--config", arguments.config, "agent.yaml; without it the defaults hold");
  app.add_option("--root", arguments.root, "read /proc, /sys and /etc below this directory");
  app.add_flag("--check-config", arguments.check_config, "say all that is wrong with --config");
  app.add_flag("-v,--verbose", arguments.verbose, "log more");
  app.fallthrough();
  CLI::App* check = app.add_subcommand("check", "run checks once and print their verdicts");
  check->add_option("name", arguments.checks, "which checks; all without one");
  check->add_option("-o,--output", arguments.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  CLI::App* forget = app.add_subcommand("forget", "forget that a check was ever seen here");
  forget->add_option("check", arguments.forget, "its name")->required();
  app.add_subcommand("tinc-hook", "note who is on the VPN: for tincd's host-up and host-down");
  CLI::App* redis_acl = AddRedisAcl(app, arguments.redis_acl);
  CLI::App* spool =
      app.add_subcommand("spool",
                         "look at the reports that this host keeps until the collectors have them\n"
                         "Works while the agent runs and on a damaged spool; changes nothing.");
  spool->require_subcommand(1);
  spool->add_option("--dir", arguments.spool.directory,
                    "the spool's directory; default: spool in the data_dir of --config");
  spool->add_subcommand("ls", "list its segments, oldest first");
  spool->add_subcommand("verify", "read all of it; exit code 1 when something is damaged");
  CLI::App* spool_export =
      spool->add_subcommand("export", "print its reports as JSON, one per line, oldest first");
  spool_export->add_option("--since", arguments.spool.since,
                           "only runs started since then: a span as 6h, or 2024-05-01T12:00:00Z");
  CLI::App* join = app.add_subcommand(
      "join", "become a host of the fleet, with the token that fleetctl enroll printed");
  join->add_option("token", arguments.join.token, "the token; - reads it from standard input")
      ->required();
  join->add_option("--collector", arguments.join.collector,
                   "host:port, where this host reaches it otherwise than the token says");
  app.add_subcommand("metrics-doc", "print docs/metrics.md")
      ->group("");  // for ./dev, not for people
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 64;
  }
  if (arguments.verbose) log::SetLevel(log::Level::kDebug);
  PrepareGrpc();
  const bool daemon = app.get_subcommands().empty() && !arguments.check_config;
  if (daemon) return RunDaemon(arguments, stop);
  stop.Release();
  if (arguments.check_config) {
    AgentSettings settings;
    if (!LoadSettings(arguments, settings)) return 1;
    std::cout << (arguments.config.empty() ? "no --config: the defaults hold"
                                           : arguments.config + " is good")
              << "\n";
    return 0;
  }
  if (check->parsed()) return RunCheckCommand(arguments);
  if (forget->parsed()) return RunForgetCommand(arguments);
  if (redis_acl->parsed()) return RunRedisAclCommand(arguments);
  if (spool->parsed()) return RunSpoolCommand(arguments, spool->get_subcommands()[0]->get_name());
  if (join->parsed()) return RunJoin(arguments);
  std::cout << RenderMetricsDoc(MakeEnv(arguments, AgentSettings()));
  return 0;
}

}  // namespace
}  // namespace fleet::agent

int main(int argc, char** argv) {
  // Before anything that costs: there is one such process for each mount that may hang.
  if (argc == 2 && std::strcmp(argv[1], fleet::agent::kStatfsHelperArgument) == 0) {
    return fleet::agent::StatfsHelperMain();
  }
  return fleet::agent::Main(argc, argv);
}
