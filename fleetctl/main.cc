// fleetctl: asks the collector, for people and scripts.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/version.h"
#include "fleetctl/client.h"
#include "fleetctl/completion.h"
#include "fleetctl/status_view.h"

namespace fleet::ctl {
namespace {

constexpr int kExitUnreachable = 4;
constexpr int kExitUsage = 64;

struct Arguments {
  ClientOptions client;
  std::string target;  // HOST[/CHECK]
  std::string output = "table";
  std::string fail_on;
  std::string shell;
  bool watch = false;
};

std::string Environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value != nullptr && *value != '\0' ? value : otherwise;
}

/// Where a terminal is, its width and whether it takes colours.
ViewOptions TerminalView() {
  ViewOptions view;
  winsize size = {};
  if (::isatty(STDOUT_FILENO) == 1) {
    view.color = Environment("NO_COLOR", "").empty() && Environment("TERM", "dumb") != "dumb";
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
      view.width = size.ws_col;
  }
  int columns = 0;
  if (absl::SimpleAtoi(Environment("COLUMNS", ""), &columns) && columns >= 40) {
    view.width = static_cast<size_t>(columns);
  }
  return view;
}

int Fail(const absl::Status& status) {
  std::cerr << "fleetctl: " << status.message() << "\n";
  if (absl::IsNotFound(status) || absl::IsInvalidArgument(status)) return kExitUsage;
  return kExitUnreachable;
}

v1::StatusRequest RequestFor(const std::string& target) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(target, absl::MaxSplits('/', 1));
  v1::StatusRequest request;
  request.set_host(parts.first);
  // An item names its check: what it follows from can be pasted here.
  request.set_check(parts.second.substr(0, parts.second.find('/')));
  return request;
}

std::string Render(const v1::StatusReply& reply, const Arguments& arguments) {
  if (arguments.output == "json") return RenderStatusJson(reply);
  if (arguments.output == "tsv") return RenderStatusTsv(reply);
  ViewOptions view = TerminalView();
  view.wide = arguments.output == "wide";
  view.detail = !arguments.target.empty();
  return RenderStatusTable(reply, view);
}

int RunWatch(const Arguments& arguments) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1 && arguments.output != "json";
  int exit_code = 0;
  const absl::Status status = WatchStatus(
      arguments.client, RequestFor(arguments.target), [&](const v1::StatusReply& reply) {
        // One write per picture, so that the screen does not flicker.
        std::cout << (terminal ? "\033[H\033[2J" : "") << Render(reply, arguments)
                  << (terminal || arguments.output == "json" ? "" : "\n") << std::flush;
        exit_code = StatusExitCode(reply, arguments.fail_on);
        return std::cout.good();
      });
  return status.ok() ? exit_code : Fail(status);
}

int RunStatus(const Arguments& arguments) {
  if (arguments.watch) return RunWatch(arguments);
  const auto reply = FetchStatus(arguments.client, RequestFor(arguments.target));
  if (!reply.ok()) return Fail(reply.status());
  std::cout << Render(*reply, arguments);
  return StatusExitCode(*reply, arguments.fail_on);
}

int RunExplain(const Arguments& arguments) {
  v1::StatusRequest request = RequestFor(arguments.target);
  const std::string check = request.check();
  if (check.empty()) {
    std::cerr << "fleetctl: expected HOST/CHECK, such as tempo/raid\n";
    return kExitUsage;
  }
  request.clear_check();  // an absent check is explained too
  const auto reply = FetchStatus(arguments.client, request);
  if (!reply.ok()) return Fail(reply.status());
  const std::string text = RenderExplanation(*reply, request.host(), check, TerminalView());
  if (text.empty()) {
    std::cerr << "fleetctl: " << request.host() << " has no check \"" << check << "\"\n";
    return kExitUsage;
  }
  std::cout << text;
  return 0;
}

int RunHosts(const Arguments& arguments) {
  const auto reply = FetchStatus(arguments.client, {});
  if (!reply.ok()) return Fail(reply.status());
  std::cout << RenderHosts(*reply, TerminalView());
  return 0;
}

int RunNames(const Arguments& arguments) {
  const auto reply = FetchStatus(arguments.client, {});
  if (!reply.ok()) return kExitUnreachable;
  for (const v1::HostStatus& host : reply->hosts()) {
    std::cout << host.name() << "\n";
    for (const v1::CheckStatus& check : host.checks()) {
      std::cout << host.name() << "/" << check.name() << "\n";
    }
  }
  return 0;
}

void AddConnection(CLI::App& app, Arguments& arguments) {
  const std::string home =
      Environment("XDG_CONFIG_HOME", absl::StrCat(Environment("HOME", ""), "/.config")) + "/fleet";
  ClientOptions& client = arguments.client;
  client.collector = Environment("FLEET_COLLECTOR", client.collector);
  client.ca = home + "/ca.pem";
  client.cert = home + "/cert.pem";
  client.key = home + "/key.pem";
  app.add_option("--collector", client.collector, "host:port; also $FLEET_COLLECTOR")
      ->capture_default_str();
  app.add_flag("--insecure", client.insecure, "plaintext, to a collector on loopback only");
  app.add_option("--ca", client.ca, "PEM file: whom we believe")->capture_default_str();
  app.add_option("--cert", client.cert, "PEM file: who we are")->capture_default_str();
  app.add_option("--key", client.key, "PEM file")->capture_default_str();
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(
      "fleetctl asks the collector: is everything all right, and if not, what is the cause?");
  app.set_version_flag("--version", absl::StrCat("fleetctl ", Version()));
  app.require_subcommand(1);
  app.fallthrough();
  AddConnection(app, arguments);

  CLI::App* status = app.add_subcommand("status", "the state of the fleet, worst first");
  status->add_option("target", arguments.target, "HOST or HOST/CHECK; all without one");
  status->add_option("-o,--output", arguments.output, "table, wide, json or tsv")
      ->check(CLI::IsMember({"table", "wide", "json", "tsv"}));
  status->add_flag("-w,--watch", arguments.watch, "show changes as they come");
  status->add_option("--fail-on", arguments.fail_on, "exit 0 for anything less bad")
      ->check(CLI::IsMember({"warn", "crit"}));
  status->footer(
      "Exit codes: 0 all ok, 1 warn, 2 crit, 3 unknown or stale, 4 no collector, 64 usage.");
  CLI::App* explain = app.add_subcommand("explain", "one check in full, and what to do");
  explain->add_option("target", arguments.target, "HOST/CHECK")->required();
  CLI::App* hosts = app.add_subcommand("hosts", "who reports, from where, with which clock");
  CLI::App* completion = app.add_subcommand("completion", "print a completion script");
  completion->add_option("shell", arguments.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  CLI::App* names = app.add_subcommand("names", "hosts and checks, for completion");
  names->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (status->parsed()) return RunStatus(arguments);
  if (explain->parsed()) return RunExplain(arguments);
  if (hosts->parsed()) return RunHosts(arguments);
  if (names->parsed()) return RunNames(arguments);
  if (completion->parsed()) {
    std::cout << CompletionScript(arguments.shell);
    return 0;
  }
  return kExitUsage;
}

}  // namespace
}  // namespace fleet::ctl

int main(int argc, char** argv) { return fleet::ctl::Main(argc, argv); }
