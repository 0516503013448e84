#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "fleetctl/command.h"
#include "fleetctl/moment.h"

namespace fleet::ctl {
namespace {

struct Options {
  std::string target;  // HOST[/CHECK]
  std::string output = "table";
  std::string fail_on;
  std::string at;
  bool watch = false;
};

std::string Render(const v1::StatusReply& reply, const Options& options) {
  if (options.output == "json") return RenderStatusJson(reply);
  if (options.output == "tsv") return RenderStatusTsv(reply);
  ViewOptions view = TerminalView();
  view.wide = options.output == "wide";
  view.detail = !options.target.empty();
  return RenderStatusTable(reply, view);
}

int RunWatch(const Context& context, const Options& options) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1 && options.output != "json";
  int exit_code = 0;
  const absl::Status status =
      WatchStatus(context.client, RequestFor(options.target), [&](const v1::StatusReply& reply) {
        // One write per picture, so that the screen does not flicker.
        std::cout << (terminal ? "\033[H\033[2J" : "") << Render(reply, options)
                  << (terminal || options.output == "json" ? "" : "\n") << std::flush;
        exit_code = StatusExitCode(reply, options.fail_on);
        return std::cout.good();
      });
  return status.ok() ? exit_code : Fail(status);
}

absl::StatusOr<v1::StatusReply> Fetch(const Context& context, const Options& options) {
  if (options.at.empty()) return FetchStatus(context.client, RequestFor(options.target));
  const absl::StatusOr<v1::Moment> at = ParseMoment(options.at);
  if (!at.ok()) return at.status();
  v1::StatusAtRequest request;
  *request.mutable_request() = RequestFor(options.target);
  *request.mutable_at() = *at;
  return FetchStatusAt(context.client, request);
}

int Run(const Context& context, const Options& options) {
  if (options.watch) return RunWatch(context, options);
  const auto reply = Fetch(context, options);
  if (!reply.ok()) return Fail(reply.status());
  std::cout << Render(*reply, options);
  return StatusExitCode(*reply, options.fail_on);
}

}  // namespace

Command::Run AddStatus(CLI::App& app, Context& context) {
  const auto options = std::make_shared<Options>();
  CLI::App* status = app.add_subcommand("status", "the state of the fleet, worst first");
  status->add_option("target", options->target, "HOST or HOST/CHECK; all without one");
  status->add_option("-o,--output", options->output, "table, wide, json or tsv")
      ->check(CLI::IsMember({"table", "wide", "json", "tsv"}));
  status->add_flag("-w,--watch", options->watch, "show changes as they come");
  status->add_option("--at", options->at, "as it was, so long ago (10m) or at a time (RFC 3339)")
      ->excludes("--watch");
  status->add_option("--fail-on", options->fail_on, "exit 0 for anything less bad")
      ->check(CLI::IsMember({"warn", "crit"}));
  status->footer(
      "Exit codes: 0 all ok, 1 warn, 2 crit, 3 unknown or stale, 4 no collector, 64 usage.");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace fleet::ctl
